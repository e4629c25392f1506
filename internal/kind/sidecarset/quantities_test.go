package sidecarset_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
)

func TestQuoteQuantities_whatIsNoWholeNumber(t *testing.T) {
	limit := func(value string) string {
		return `{"spec":{"containers":[{"resources":{"limits":{"cpu":` + value + `}}}]}}`
	}
	cpu := strings.Split("spec containers 0 resources limits cpu", " ")
	tests := map[string]struct {
		sent string
		want []sidecarset.Quoted
	}{
		"a fraction":                     {limit(`0.5`), []sidecarset.Quoted{{cpu, "500m"}}},
		"more digits than quantities":    {limit(`0.30000000000000004`), []sidecarset.Quoted{{cpu, "300000001n"}}},
		"an exponent":                    {limit(`1e+21`), []sidecarset.Quoted{{cpu, "1e+21"}}},
		"a negative exponent":            {limit(`1e-07`), []sidecarset.Quoted{{cpu, "100e-9"}}},
		"a whole number with a point":    {limit(`2.0`), []sidecarset.Quoted{{cpu, "2"}}},
		"more than the API server reads": {limit(`9223372036854775808`), []sidecarset.Quoted{{cpu, "9223372036854775808"}}},
		"the largest it reads":           {limit(`9223372036854775807`), nil},
		"nothing":                        {limit(`0`), nil},
		"text":                           {limit(`"0.5"`), nil},
		"a negative number":              {limit(`-0.5`), nil},
		"a truth value":                  {limit(`true`), nil},
		"null":                           {limit(`null`), nil},
		"a list":                         {limit(`[0.5]`), nil},
		"an object":                      {limit(`{"value":0.5}`), nil},
		"another field":                  {`{"spec":{"Containers":[{"resources":{"limits":{"cpu":0.5}}}],"updateStrategy":{"partition":0.5}}}`, nil},
		"lists that are none":            {`{"spec":{"containers":{"0":{"resources":{"limits":{"cpu":0.5}}}},"volumes":0.5}}`, nil},
		"no spec":                        {`{}`, nil},
		"everywhere, in order": {
			`{"spec":{
				"volumes":[
					{"emptyDir":{"sizeLimit":1.5}},
					{"ephemeral":{"volumeClaimTemplate":{"spec":{"resources":{"requests":{"storage":2.5}}}}}},
					{"downwardAPI":{"items":[{"resourceFieldRef":{"divisor":3.5}}]}},
					{"projected":{"sources":[{},{"downwardAPI":{"items":[{"resourceFieldRef":{"divisor":4.5}}]}}]}}],
				"initContainers":[{"resources":{"limits":{"memory":5.5}}}],
				"containers":[{},{"env":[{"valueFrom":{"resourceFieldRef":{"divisor":6.5}}}],"resources":{"requests":{"example.com/a~b":7.5,"memory":8.5}}}]}}`,
			[]sidecarset.Quoted{
				{strings.Fields("spec containers 1 resources requests example.com/a~b"), "7500m"},
				{strings.Fields("spec containers 1 resources requests memory"), "8500m"},
				{strings.Fields("spec initContainers 0 resources limits memory"), "5500m"},
				{strings.Fields("spec containers 1 env 0 valueFrom resourceFieldRef divisor"), "6500m"},
				{strings.Fields("spec volumes 0 emptyDir sizeLimit"), "1500m"},
				{strings.Fields("spec volumes 1 ephemeral volumeClaimTemplate spec resources requests storage"), "2500m"},
				{strings.Fields("spec volumes 2 downwardAPI items 0 resourceFieldRef divisor"), "3500m"},
				{strings.Fields("spec volumes 3 projected sources 1 downwardAPI items 0 resourceFieldRef divisor"), "4500m"},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, sidecarset.QuoteQuantities([]byte(test.sent))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever field of a SidecarSet is a quantity, now or when Kubernetes adds one, is found.
func TestQuoteQuantities_knowsEveryQuantity(t *testing.T) {
	paths := quantitiesOf(reflect.TypeFor[v1beta1.SidecarSet]())
	if len(paths) < 10 {
		t.Fatalf("found only %q", paths)
	}
	for _, path := range paths {
		sent, steps := "0.5", strings.Split(path, ".")
		for _, step := range slices.Backward(steps) {
			switch step {
			case "0":
				sent = "[" + sent + "]"
			default:
				sent = `{"` + step + `":` + sent + "}"
			}
		}
		if diff := cmp.Diff([]sidecarset.Quoted{{steps, "500m"}}, sidecarset.QuoteQuantities([]byte(sent))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

// quantitiesOf lists the paths of all quantities below a type, of which none contains itself.
func quantitiesOf(t reflect.Type) []string {
	if t == reflect.TypeFor[resource.Quantity]() {
		return []string{""}
	}
	below := func(step string, t reflect.Type) []string {
		found := quantitiesOf(t)
		for i := range found {
			found[i] = strings.TrimSuffix(step+"."+found[i], ".")
		}
		return found
	}
	switch t.Kind() {
	case reflect.Pointer:
		return quantitiesOf(t.Elem())
	case reflect.Slice:
		return below("0", t.Elem())
	case reflect.Map:
		return below("key", t.Elem())
	case reflect.Struct:
		var found []string
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			switch {
			case name != "":
				found = append(found, below(name, f.Type)...)
			case f.Anonymous:
				found = append(found, quantitiesOf(f.Type)...)
			}
		}
		return found
	}
	return nil
}
