package engine

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// operation is one operation of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

func test(path string, value any) operation { return operation{Op: "test", Path: path, Value: value} }

// Patch writes the JSON patch of a step. Every value it was made from is tested first, and so is the UID, so that the
// API server applies it to the observation it was decided on or not at all: a stale decision is refused, and
// the same one sent twice is applied once. It names no resourceVersion: what kubelet writes into the status in
// the meantime does not matter. A test for null says that there is no such annotation: RFC 6902 has no way to say
// that, and the implementation in every API server takes null for it (TestMetadata_absentIsTested in test/e2e).
//
//	test /metadata/uid                                         u-1
//	test /spec/containers/0/name                               logtail
//	test /spec/containers/0/image                              logtail:1
//	test /metadata/annotations/kruise.io~1sidecarset-hash      {…old…}
//	replace /spec/containers/0/image                           logtail:2
//	add /metadata/annotations/kruise.io~1sidecarset-hash       {…new…}
func Patch(step plan.Step) ([]byte, error) {
	var operations []operation
	switch {
	case step.Verb == plan.UpdateInPlace, step.Verb == plan.ResetContainer:
		operations = updateInPlace(step)
	case step.Verb == plan.SetCondition && len(step.Change.Conditions) == 1:
		operations = setCondition(step.Unit, &step.Change.Conditions[0])
	default:
		return nil, fmt.Errorf("write the patch of %s: verb %q is not known", step.Unit, step.Verb)
	}
	data, err := json.Marshal(operations)
	if err != nil {
		return nil, fmt.Errorf("write the patch of %s: %w", step.Unit, err)
	}
	return data, nil
}

func updateInPlace(step plan.Step) []operation {
	change := step.Change
	tests := make([]operation, 0, 1+3*len(change.Images)+2*len(change.Annotations))
	writes := make([]operation, 0, len(change.Images)+len(change.Annotations))
	tests = append(tests, test("/metadata/uid", step.Unit.UID))
	for _, image := range change.Images {
		at := "/spec/containers/" + strconv.Itoa(image.Index)
		if image.Init {
			at = "/spec/initContainers/" + strconv.Itoa(image.Index)
		}
		tests = append(tests, test(at+"/name", image.Container), test(at+"/image", image.From))
		writes = append(writes, operation{Op: "replace", Path: at + "/image", Value: image.To})
	}
	for _, annotation := range change.Annotations {
		at := "/metadata/annotations/" + pointer(annotation.Key)
		switch {
		case annotation.Unchecked:
		case annotation.Absent:
			tests = append(tests, test(at, nil))
		default:
			tests = append(tests, test(at, annotation.From))
		}
		writes = append(writes, operation{Op: "add", Path: at, Value: annotation.To})
	}
	return append(tests, writes...)
}

// setCondition is a patch of the Pod's status.
//
//	test /metadata/uid                      u-1                              test /metadata/uid               u-1
//	test /status/conditions/4/type          SidecarSetUpgradable             test /metadata/resourceVersion   1007
//	test /status/conditions/4/message       {"a":true}                       add  /status/conditions/-        {…}
//	add  /status/conditions/4/status        False
//	…
func setCondition(u plan.Unit, c *plan.ConditionChange) []operation {
	add := func(path, value string) operation { return operation{Op: "add", Path: path, Value: value} }
	if c.Absent {
		return []operation{
			test("/metadata/uid", u.UID), test("/metadata/resourceVersion", c.Version),
			{Op: "add", Path: "/status/conditions/-", Value: map[string]string{
				"type": c.Type, "status": c.Status, "reason": c.Reason, "message": c.Message, "lastTransitionTime": c.Since,
			}},
		}
	}
	at := "/status/conditions/" + strconv.Itoa(c.Index)
	operations := []operation{test("/metadata/uid", u.UID), test(at+"/type", c.Type)}
	if c.From != "" { // an empty message is left out of the object, and there is nothing to lose
		operations = append(operations, test(at+"/message", c.From))
	}
	operations = append(operations, add(at+"/status", c.Status), add(at+"/reason", c.Reason), add(at+"/message", c.Message))
	if c.Since != "" {
		operations = append(operations, add(at+"/lastTransitionTime", c.Since))
	}
	return operations
}

// pointer escapes a key for a JSON pointer (RFC 6901).
func pointer(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}

// statusPatch replaces the whole status of the object that has this UID.
func statusPatch(uid string, status any) ([]byte, error) {
	data, err := json.Marshal([]operation{
		test("/metadata/uid", uid),
		{Op: "add", Path: "/status", Value: status},
	})
	if err != nil {
		return nil, fmt.Errorf("write the status patch: %w", err)
	}
	return data, nil
}
