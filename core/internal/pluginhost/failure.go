package pluginhost

import (
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// CodeName is the stable name of a failure's code, empty for no failure.
func CodeName(f *pluginv1.Failure) string {
	if f == nil {
		return ""
	}
	return failure.Code(f.GetCode()).String()
}
