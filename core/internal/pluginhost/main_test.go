package pluginhost_test

import (
	"testing"

	"github.com/stratohub/strato/core/internal/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }
