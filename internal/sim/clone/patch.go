package clone

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/internal/sim/node"
)

// operation is one of a JSON patch.
type operation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value"`
}

var errTest = errors.New("a test failed")

// patched returns a Pod after a JSON patch to it or to its status, as an API server makes it. Of the other part, changes
// are dropped. It shares with the Pod before what the patch does not change.
func patched(pod *corev1.Pod, subresource string, body []byte) (*corev1.Pod, error) {
	var operations []operation
	if err := json.Unmarshal(body, &operations); err != nil {
		return nil, err
	}
	p := patch{Pod: node.Shallow(pod), status: subresource == "status", resize: subresource == "resize"}
	for i := range operations {
		if err := p.apply(&operations[i]); err != nil {
			return nil, fmt.Errorf("%s %s %s: %w", operations[i].Op, operations[i].Path, operations[i].Value, err)
		}
	}
	if p.resize {
		return resized(pod, p.Pod)
	}
	if p.spec {
		p.Generation++
	}
	return p.Pod, nil
}

// patch is a Pod that is being patched. What is in it is copied before its first change.
type patch struct {
	*corev1.Pod
	status, resize, spec            bool
	labels, annotations, conditions bool
}

func (p *patch) apply(o *operation) error {
	words := strings.Split(strings.TrimPrefix(o.Path, "/"), "/")
	for i := range words {
		words[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(words[i])
	}
	switch words[0] + "/" + words[1] {
	case "metadata/uid":
		return o.test(string(p.UID))
	case "metadata/resourceVersion":
		return o.test(p.ResourceVersion)
	case "metadata/labels":
		return o.member(words, &p.Labels, &p.labels)
	case "metadata/annotations":
		return o.member(words, &p.Annotations, &p.annotations)
	case "metadata/finalizers":
		return list(o, &p.Finalizers)
	case "metadata/ownerReferences":
		if p.status {
			return nil // nobody may do that through the status
		}
		return list(o, &p.OwnerReferences)
	case "spec/containers":
		return p.container(o, words)
	case "status/conditions":
		return p.condition(o, words)
	}
	return errors.New("the simulator does not know this path")
}

// test tells whether a value is as it is to be. The value null stands for nothing.
func (o *operation) test(value string) error {
	var wanted *string
	if err := json.Unmarshal(o.Value, &wanted); err != nil {
		return err
	}
	if o.Op != "test" || wanted == nil || *wanted != value {
		return errTest
	}
	return nil
}

// member is an operation on one member of a map, or on the whole of one that is empty.
func (o *operation) member(words []string, of *map[string]string, copied *bool) error {
	if len(words) == 2 {
		return o.all(of)
	}
	value, err := o.text()
	if err != nil {
		return err
	}
	key := words[2]
	was, there := (*of)[key]
	if !*copied { // also before a test: there is little to copy
		*of, *copied = maps.Clone(*of), true
	}
	switch {
	case o.Op == "test":
		return same(value, was, there)
	case o.Op == "remove" && there:
		delete(*of, key)
	case o.Op == "add" && *of != nil && value != nil:
		(*of)[key] = *value
	default:
		return errTest
	}
	return nil
}

// same tests a value, which null says is not there.
func same(value *string, was string, there bool) error {
	if there != (value != nil) || there && was != *value {
		return errTest
	}
	return nil
}

// text is a value that is a string; nil: null, or no value at all.
func (o *operation) text() (value *string, err error) {
	if len(o.Value) > 0 {
		err = json.Unmarshal(o.Value, &value)
	}
	return value, err
}

func (o *operation) all(of *map[string]string) error {
	if o.Op == "test" {
		if string(o.Value) != "null" || *of != nil {
			return errTest
		}
		return nil
	}
	return json.Unmarshal(o.Value, of)
}

// list is an operation on a whole list.
func list[T any](o *operation, of *[]T) error {
	var value []T
	if len(o.Value) > 0 {
		if err := json.Unmarshal(o.Value, &value); err != nil {
			return err
		}
	}
	switch o.Op {
	case "test":
		was, err := json.Marshal(*of)
		if err != nil {
			return err
		}
		if wanted, err := json.Marshal(value); err != nil || len(value) != len(*of) || len(value) > 0 && string(was) != string(wanted) {
			return errTest
		}
	case "remove":
		*of = nil
	default:
		*of = value
	}
	return nil
}

func (p *patch) container(o *operation, words []string) error {
	i, err := strconv.Atoi(words[2])
	if err != nil || i >= len(p.Spec.Containers) || len(words) < 4 {
		return errTest
	}
	if words[3] == "resources" {
		return p.resources(o, i, words[4:])
	}
	value := &p.Spec.Containers[i].Image
	if words[3] == "name" {
		value = &p.Spec.Containers[i].Name
	}
	if o.Op == "test" {
		return o.test(*value)
	}
	if p.status {
		return nil
	}
	if !p.spec {
		p.Spec.Containers, p.spec = slices.Clone(p.Spec.Containers), true
	}
	return json.Unmarshal(o.Value, &p.Spec.Containers[i].Image)
}

func (p *patch) condition(o *operation, words []string) error {
	if o.Op != "test" && !p.status {
		return nil
	}
	if o.Op != "test" && !p.conditions {
		p.Status.Conditions, p.conditions = slices.Clone(p.Status.Conditions), true
	}
	if words[2] == "-" {
		var c corev1.PodCondition
		if err := json.Unmarshal(o.Value, &c); err != nil {
			return err
		}
		p.Status.Conditions = append(p.Status.Conditions, c)
		return nil
	}
	i, err := strconv.Atoi(words[2])
	if err != nil || i >= len(p.Status.Conditions) {
		return errTest
	}
	if len(words) == 3 {
		return o.condition(&p.Status.Conditions[i])
	}
	return o.field(&p.Status.Conditions[i], words[3])
}

// condition is an operation on a whole condition: it is tested, or becomes another one.
func (o *operation) condition(c *corev1.PodCondition) error {
	var value corev1.PodCondition
	err := json.Unmarshal(o.Value, &value)
	switch {
	case err != nil:
	case o.Op != "test":
		*c = value
	case value != *c:
		err = errTest
	}
	return err
}

// field is an operation on one field of a condition.
func (o *operation) field(c *corev1.PodCondition, name string) error {
	kind, status := string(c.Type), string(c.Status)
	value, ok := map[string]*string{"type": &kind, "status": &status, "reason": &c.Reason, "message": &c.Message}[name]
	switch {
	case name == "lastTransitionTime":
		var text string
		if err := json.Unmarshal(o.Value, &text); err != nil {
			return err
		}
		since, err := time.Parse(time.RFC3339, text)
		c.LastTransitionTime = metav1.NewTime(since)
		return err
	case !ok:
		return errors.New("the simulator does not know this field")
	case o.Op == "test" && *value == "" && string(o.Value) == "null":
		return nil // what is empty is left out of the object
	case o.Op == "test":
		return o.test(*value)
	}
	err := json.Unmarshal(o.Value, value)
	c.Status = corev1.ConditionStatus(status)
	return err
}
