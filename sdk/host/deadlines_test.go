package host

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/stratohub/strato/sdk/pluginv1"
)

// A method that is added to the protocol must get a deadline.
func TestEveryMethodHasADeadline(t *testing.T) {
	t.Parallel()

	known := deadlines()
	n := 0
	for _, file := range []protoreflect.FileDescriptor{
		pluginv1.File_strato_plugin_v1_provider_proto, pluginv1.File_strato_plugin_v1_webhook_proto,
		pluginv1.File_strato_plugin_v1_channel_proto, pluginv1.File_strato_plugin_v1_voice_proto,
	} {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for k := range service.Methods().Len() {
				name := "/" + string(service.FullName()) + "/" + string(service.Methods().Get(k).Name())
				require.Positive(t, known[name], name)
				n++
			}
		}
	}
	require.Len(t, known, n, "a deadline for a method that is not there")
}
