package sidecarset

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/outrigger-project/outrigger/internal/plan/inject/jsonview"
)

// Quoted is a quantity that stands in a SidecarSet as a number and is to be text.
type Quoted struct {
	// Path leads to it: a key or an index for each step.
	Path []string
	// Text is the same quantity in its canonical form: what conversion makes of it, so that sending the same again
	// changes nothing.
	Text string
}

// quantities names every quantity of a SidecarSet, in all versions: "[]" is every item of a list, "{}" every value of a
// map, "a|b" both.
const quantities = `
spec.containers|initContainers.[].resources.limits|requests.{}
spec.containers|initContainers.[].env.[].valueFrom.resourceFieldRef.divisor
spec.volumes.[].emptyDir.sizeLimit
spec.volumes.[].ephemeral.volumeClaimTemplate.spec.resources.limits|requests.{}
spec.volumes.[].downwardAPI.items.[].resourceFieldRef.divisor
spec.volumes.[].projected.sources.[].downwardAPI.items.[].resourceFieldRef.divisor
`

// QuoteQuantities finds the quantities of a SidecarSet, given as it was sent, that are numbers but not whole ones
// (cpu: 0.5) or not written as such (1e9, 1e21). Pods take them; the schema of a custom resource knows whole numbers
// and text only, and CEL can compute with nothing else. What is no quantity at all, such as a negative number, is left
// for the schema to refuse.
func QuoteQuantities(sent jsonview.Value) []Quoted {
	var found []Quoted
	for path := range strings.FieldsSeq(quantities) {
		found = quoteBelow(found, sent, nil, strings.Split(path, "."))
	}
	return found
}

func quoteBelow(found []Quoted, v jsonview.Value, path, steps []string) []Quoted {
	if len(steps) == 0 {
		if quantity, err := resource.ParseQuantity(string(v)); err == nil && isOtherNumber(v) {
			found = append(found, Quoted{path, quantity.String()})
		}
		return found
	}
	deeper := func(step string, child jsonview.Value) {
		found = quoteBelow(found, child, append(path[:len(path):len(path)], step), steps[1:])
	}
	switch steps[0] {
	case "[]":
		i := 0
		for item := range v.Elements() {
			deeper(strconv.Itoa(i), item)
			i++
		}
	case "{}":
		for key, value := range v.Fields() {
			deeper(key.Text(), value)
		}
	default:
		for name := range strings.SplitSeq(steps[0], "|") {
			deeper(name, v.Get(name))
		}
	}
	return found
}

// isOtherNumber tells a number that the API server does not read as an integer; negative ones are none here.
func isOtherNumber(v jsonview.Value) bool {
	if len(v) == 0 || v[0] < '0' || v[0] > '9' {
		return false
	}
	_, err := strconv.ParseInt(string(v), 10, 64)
	return err != nil
}
