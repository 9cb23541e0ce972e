package wire

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// pair is a message and the Go type it is converted to and from.
type pair struct {
	message proto.Message
	value   any
	to      func(proto.Message) any
	from    func(any) proto.Message
	// dropped are fields of the message that authors do not get, with the reason.
	dropped map[string]string
}

func of[M proto.Message, V any](to func(M) V, from func(V) M) pair {
	var m M
	var v V
	return pair{
		message: reflect.New(reflect.TypeOf(m).Elem()).Interface().(proto.Message), value: v,
		to:   func(p proto.Message) any { return to(p.(M)) },
		from: func(v any) proto.Message { return from(v.(V)) },
	}
}

func pairs() map[string]pair {
	installation := of(ToInstallation, FromInstallation)
	installation.dropped = map[string]string{"host_token": "the SDK uses it"}
	send := of(ToMessage, func(m sdk.Message) *pluginv1.SendRequest { return FromMessage(nil, m) })
	send.dropped = map[string]string{"installation": "chooses the instance"}
	signal := of(ToSignal, func(s sdk.Signal) *pluginv1.SignalRequest { return FromSignal(nil, s) })
	signal.dropped = map[string]string{"installation": "chooses the instance"}
	result := of(ToWebhookResult, FromWebhookResult)
	result.dropped = map[string]string{"failure": "travels as an error"}
	routing := of(ToRouting, FromRouting)
	routing.dropped = map[string]string{"failure": "travels as an error"}
	speech := of(ToSpeech, func(v sdk.Speech) *pluginv1.SynthesizeRequest { return FromSpeech(nil, v) })
	speech.dropped = map[string]string{"installation": "chooses the instance"}
	order := of(ToCallOrder, func(o sdk.CallOrder) *pluginv1.PlaceCallRequest { return FromCallOrder(nil, o) })
	order.dropped = map[string]string{"installation": "chooses the instance"}
	placed := of(ToPlacedCall, FromPlacedCall)
	placed.dropped = map[string]string{"failure": "travels as an error"}
	leads := of(ToLeadPage, FromLeadPage)
	leads.dropped = map[string]string{"failure": "travels as an error"}
	return map[string]pair{
		"speech": speech, "call order": order, "placed call": placed, "lead page": leads,
		"audio head": of(ToAudioHead, FromAudioHead), "audio tail": of(ToAudioTail, FromAudioTail),
		"call update": of(ToCallUpdate, FromCallUpdate), "template": of(ToTemplateInfo, FromTemplateInfo),
		"installation": installation, "message": send, "signal": signal, "webhook result": result, "routing": routing,
		"failure": of(func(p *pluginv1.Failure) failure.Failure { return *ToFailure(p) },
			func(f failure.Failure) *pluginv1.Failure { return FromFailure(&f) }),
		"route key": of(ToRouteKey, FromRouteKey), "address": of(ToAddress, FromAddress), "request": of(ToRequest, FromRequest),
		"response": of(ToResponse, FromResponse), "diagnostic": of(ToDiagnostic, FromDiagnostic), "option": of(ToOption, FromOption),
		"check": of(ToCheck, FromCheck), "check result": of(ToCheckResult, FromCheckResult), "media ref": of(ToMediaRef, FromMediaRef),
		"content": of(ToContent, FromContent), "event": of(ToEvent, FromEvent), "receipt": of(ToReceipt, FromReceipt),
		"webhook": of(ToWebhook, FromWebhook),
	}
}

// Every field of every message is filled, in each form of its oneofs, and must
// survive the way to Go and back.
func TestMessagesSurvive(t *testing.T) {
	t.Parallel()

	for name, p := range pairs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			for variant := range 12 {
				m := p.message.ProtoReflect().New().Interface()
				fillMessage(m.ProtoReflect(), variant)
				for field := range p.dropped {
					m.ProtoReflect().Clear(m.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(field)))
				}
				back := p.from(p.to(m))
				require.True(t, proto.Equal(m, back), "variant %d\nsent %v\ngot  %v", variant, m, back)
			}
		})
	}
}

// The same from the Go side.
func TestValuesSurvive(t *testing.T) {
	t.Parallel()

	for name, p := range pairs() {
		if p.value == nil {
			continue // an interface: its types are filled inside of others
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			for variant := range 12 {
				v := reflect.New(reflect.TypeOf(p.value)).Elem()
				fillValue(t, v, variant)
				require.Equal(t, v.Interface(), p.to(p.from(v.Interface())), "variant %d", variant)
			}
		})
	}
}

// A payload or content that a newer peer sends is nothing, not a crash.
func TestUnknownKindsAreNil(t *testing.T) {
	t.Parallel()

	require.Nil(t, ToContent(nil))
	require.Nil(t, ToContent(&pluginv1.Content{}))
	require.Nil(t, ToEvent(&pluginv1.Event{}).Payload)
	require.Nil(t, FromContent(nil))
	require.Equal(t, sdk.Installation{}, ToInstallation(nil))
	require.Nil(t, ToFailure(nil))
}

// fillMessage sets every field; of each oneof it sets the variant-th field.
func fillMessage(m protoreflect.Message, variant int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if o := f.ContainingOneof(); o != nil && o.Fields().Get(variant%o.Fields().Len()) != f {
			continue
		}
		switch {
		case f.IsMap():
			k := protoreflect.ValueOfString("key").MapKey()
			m.Mutable(f).Map().Set(k, scalar(f.MapValue(), variant))
		case f.IsList():
			l := m.Mutable(f).List()
			if f.Message() != nil {
				fillMessage(l.AppendMutable().Message(), variant)
				fillMessage(l.AppendMutable().Message(), variant+1)
			} else {
				l.Append(scalar(f, variant))
			}
		case f.Message() != nil:
			switch f.Message().FullName() {
			case "google.protobuf.Timestamp":
				m.Set(f, protoreflect.ValueOfMessage(timestamppb.New(time.Unix(1700000000, 5).UTC()).ProtoReflect()))
			case "google.protobuf.Duration":
				m.Set(f, protoreflect.ValueOfMessage(durationpb.New(3*time.Second).ProtoReflect()))
			default:
				fillMessage(m.Mutable(f).Message(), variant)
			}
		default:
			m.Set(f, scalar(f, variant))
		}
	}
}

func scalar(f protoreflect.FieldDescriptor, variant int) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(fmt.Sprintf("%s %d", f.Name(), variant))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(f.Name()))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(1 + variant%(f.Enum().Values().Len()-1)))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(f.Number()) + 7)
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(uint64(f.Number()) + 70)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(f.Number()) + 0.5)
	}
	panic("fill " + f.Kind().String())
}

// exclusive names fields of which a value has at most one.
func exclusive(t reflect.Type) []string {
	switch t {
	case reflect.TypeFor[sdk.MediaRef]():
		return []string{"BlobID", "URL", "ProviderID"}
	case reflect.TypeFor[sdk.Button]():
		return []string{"Payload", "URL", "Phone", "Flow"}
	case reflect.TypeFor[sdk.TemplateParam]():
		return []string{"Text", "Media", "Payload", "Location"}
	}
	return nil
}

func fillValue(t *testing.T, v reflect.Value, variant int) {
	t.Helper()
	contents := []sdk.Content{sdk.Text{}, sdk.Media{}, sdk.Template{}, sdk.Cards{}, sdk.Interactive{}, sdk.Location{},
		sdk.Reaction{}, sdk.ContactCards{}, sdk.Selection{}, sdk.Unsupported{}}
	payloads := []sdk.Payload{sdk.InboundMessage{}, sdk.MessageEcho{}, sdk.DeliveryUpdate{}, sdk.ContactUpdate{}, sdk.ConsentChange{},
		sdk.LeadCaptured{}, sdk.CallUpdate{}, sdk.TemplateUpdate{}, sdk.AccountUpdate{}, sdk.Unrecognized{}}
	switch v.Type() {
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(1700000000, 9).UTC()))
		return
	case reflect.TypeFor[sdk.Content]():
		fillInterface(t, v, contents[variant%len(contents)], variant)
		return
	case reflect.TypeFor[sdk.Payload]():
		fillInterface(t, v, payloads[variant%len(payloads)], variant)
		return
	case reflect.TypeFor[error]():
		v.Set(reflect.ValueOf(failure.New(failure.Auth, "no")))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		only := exclusive(v.Type())
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if at := indexOf(only, name); at >= 0 && at != variant%len(only) {
				continue
			}
			fillValue(t, v.Field(i), variant)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillValue(t, v.Elem(), variant)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte("bytes"))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fillValue(t, v.Index(0), variant)
		fillValue(t, v.Index(1), variant+1)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"key": "value"}))
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", variant))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(int64(1 + variant%2))
	case reflect.Int64:
		v.SetInt(int64(time.Minute))
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(variant + 3))
	case reflect.Float64:
		v.SetFloat(-34.5)
	default:
		t.Fatalf("cannot fill %s", v.Type())
	}
}

func fillInterface(t *testing.T, v reflect.Value, zero any, variant int) {
	t.Helper()
	e := reflect.New(reflect.TypeOf(zero)).Elem()
	fillValue(t, e, variant)
	v.Set(e)
}

func indexOf(in []string, s string) int {
	for i := range in {
		if in[i] == s {
			return i
		}
	}
	return -1
}
