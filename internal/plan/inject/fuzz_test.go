package inject_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"pgregory.net/rapid"

	"github.com/outrigger-project/outrigger/internal/plan/inject"
)

// pool are the sets that the fuzzer chooses from: together they use every feature, and some clash.
func pool(t tb) []*inject.Set {
	return []*inject.Set{
		prepare(t, "sharing", `
containers:
- {name: agent, image: a:1, shareVolumePolicy: {type: enabled}, volumeMounts: [{name: log, mountPath: /logs}]}
volumes: [{name: log, emptyDir: {}}]`),
		prepare(t, "transferring", `
containers:
- name: proxy
  image: p:1
  podInjectPolicy: AfterAppContainer
  transferEnv:
  - {sourceContainerName: app, envNames: [A, TZ, POD]}
  - {sourceContainerNameFrom: {fieldRef: {fieldPath: metadata.name}}, envName: B}
  - {sourceContainerNameFrom: {fieldRef: {fieldPath: "metadata.labels['main']"}}, envName: B}
  - {sourceContainerNameFrom: {fieldRef: {fieldPath: "metadata.annotations['main']"}}, envName: C}
imagePullSecrets: [{name: own}, {name: s}]`),
		prepare(t, "init", `
initContainers:
- {name: setup, image: i:1, shareVolumePolicy: {type: enabled}}
- {name: early, image: i:1, podInjectPolicy: BeforeAppContainer, volumeMounts: [{name: log, mountPath: /l}]}
volumes: [{name: log, emptyDir: {medium: Memory}}, {name: unused, emptyDir: {}}]`),
		prepare(t, "clash", "containers: [{name: setup, image: c:1}]"),
		prepare(t, "replacing", "containers: [{name: app, image: app:2, shareVolumePolicy: {type: enabled}}, {name: helper, image: h:2}]"),
		prepare(t, "devices", `
containers:
- name: disks
  image: d:1
  shareVolumePolicy: {type: enabled}
  shareVolumeDevicePolicy: {type: enabled}
  volumeDevices: [{name: v, devicePath: /l}]
volumes: [{name: v, persistentVolumeClaim: {claimName: v}}]`),
		prepare(t, "sized", `
containers:
- name: sized
  image: s:1
  resourcesPolicy: {targetContainersMode: sum, targetContainersNameRegex: "p|e", resourcesExpr: {limits: {cpu: cpu*50%, memory: memory/3}, requests: {cpu: "1"}}}`),
		prepare(t, "annotating", `
containers: [{name: annotated, image: a:1}]
patchPodMetadata:
- {annotations: {main: web, other: retained}}
- {annotations: {overwritten: "1", also: "2"}, patchPolicy: Overwrite}
- {annotations: {merged: '{"a":{"b":1,"c":null},"d":null,"z":1}'}, patchPolicy: MergePatchJson}`),
		prepare(t, "merging", `
containers: [{name: merging, image: m:1}]
patchPodMetadata: [{annotations: {merged: '{"z":null,"d":[1],"a":{"c":{"x":1}}}'}, patchPolicy: MergePatchJson}]`),
		prepare(t, "mesh", `
containers:
- {name: envoy, image: e:1, shareVolumePolicy: {type: enabled}, upgradeStrategy: {upgradeType: HotUpgrade, hotUpgradeEmptyImage: e:0}}
- {name: native, image: w:1, lifecycle: {type: Sidecar}}`),
		prepare(t, "paused", "injectionStrategy: {paused: true}\ncontainers: [{name: paused, image: p:1}]"),
	}
}

// FuzzPod: whatever the Pod, nothing panics; an error comes without a patch; a patch applies; applying it
// again changes no byte; nothing that the Pod brought is lost, known or not.
func FuzzPod(f *testing.F) {
	for _, files := range goldens(f) {
		for _, pod := range read(f, files["in.yaml"]).pods {
			f.Add(pod, uint16(0b1111110111))
			f.Add(pod, uint16(0b0101011001))
			f.Add(pod, uint16(0b0110000010))
		}
	}
	f.Add([]byte(`{"spec":{"containers":[null,1,{"name":null}],"volumes":"x","initContainers":{}},"metadata":[]}`), uint16(7))
	f.Add([]byte(`{"spec":{"containers":[{"name":"app","env":{"name":"A"}}]},"metadata":{"annotations":[1]}}`), uint16(7))
	f.Add([]byte(`{"metadata":{"annotations":{"kruise.io/sidecarset-hash":"{\"a\":\"\\u0000\",\"a\":{}}"}},"spec":{"containers":[{"name":"x"}]}}`), uint16(1))
	all := pool(f)
	f.Fuzz(func(t *testing.T, pod []byte, chosen uint16) { holds(t, all, pod, chosen) })
}

// TestPod_holdsForGeneratedPods checks the same of Pods that are made to be awkward: names that sidecars have
// too, variables made of variables, containers that say they were injected.
func TestPod_holdsForGeneratedPods(t *testing.T) {
	all := pool(t)
	rapid.Check(t, func(t *rapid.T) {
		pod, err := json.Marshal(podOf().Draw(t, "pod"))
		if err != nil {
			t.Fatal(err)
		}
		holds(t, all, pod, rapid.Uint16().Draw(t, "sets"))
	})
}

func podOf() *rapid.Generator[map[string]any] {
	name := rapid.SampledFrom([]string{"app", "agent", "proxy", "setup", "helper", "web"})
	variable := rapid.SampledFrom([]string{"A", "B", "C", "POD", "TZ", "IS_INJECTED"})
	text := rapid.SampledFrom([]string{"true", "x", "$(A)", "$(POD)/$(B)", "$$(A)", "$(", "$(C)$(C)"})
	env := rapid.Custom(func(t *rapid.T) any {
		return map[string]any{"name": variable.Draw(t, "name"), "value": text.Draw(t, "value")}
	})
	mount := rapid.Custom(func(t *rapid.T) any {
		return map[string]any{
			"name": "v", "mountPath": rapid.SampledFrom([]string{"/logs", "/logs/", "/l", "/x"}).Draw(t, "path"), "subPathExpr": text.Draw(t, "expr"),
		}
	})
	device := rapid.Custom(func(t *rapid.T) any {
		return map[string]any{
			"name": rapid.SampledFrom([]string{"v", "w"}).Draw(t, "name"), "devicePath": rapid.SampledFrom([]string{"/logs", "/l", "/d"}).Draw(t, "path"),
		}
	})
	quantity := rapid.SampledFrom([]any{"1", "100m", "1Gi", 0.5, 2})
	container := rapid.Custom(func(t *rapid.T) any {
		return map[string]any{
			"name": name.Draw(t, "name"), "env": rapid.SliceOfN(env, 0, 4).Draw(t, "env"), "volumeMounts": rapid.SliceOfN(mount, 0, 3).Draw(t, "mounts"),
			"volumeDevices": rapid.SliceOfN(device, 0, 2).Draw(t, "devices"),
			"resources":     map[string]any{"limits": map[string]any{"cpu": quantity.Draw(t, "cpu"), "memory": quantity.Draw(t, "memory")}},
		}
	})
	annotationKey := rapid.SampledFrom([]string{"main", "other", "overwritten", "merged"})
	value := rapid.SampledFrom([]string{"app", "web", "", "{}", `{"a":{"c":1,"e":2},"d":1}`, ` {"z":1, "a":{"b":1}}`, "[1]", "{"})
	distinct := func(v any) string { return v.(map[string]any)["name"].(string) }
	return rapid.Custom(func(t *rapid.T) map[string]any {
		return map[string]any{
			"metadata": map[string]any{
				"name": name.Draw(t, "pod"), "labels": map[string]any{"main": name.Draw(t, "label")}, "annotations": rapid.MapOf(annotationKey, value).Draw(t, "annotations"),
			},
			"spec": map[string]any{
				"containers":     rapid.SliceOfNDistinct(container, 1, 4, distinct).Draw(t, "containers"),
				"initContainers": rapid.SliceOfNDistinct(container, 0, 2, distinct).Draw(t, "initContainers"),
				"volumes":        []any{map[string]any{"name": rapid.SampledFrom([]string{"v", "log"}).Draw(t, "volume")}},
			},
		}
	})
}

// holds checks one Pod with the chosen sets.
func holds(t tb, all []*inject.Set, pod []byte, chosen uint16) {
	t.Helper()
	var sets []*inject.Set
	for i, s := range all {
		if chosen&(1<<i) != 0 {
			sets = append(sets, s)
		}
	}
	result, err := inject.Pod(pod, inject.Facts{Sets: sets})
	if err != nil && (result.Patch != nil || result.Sets != nil) {
		t.Fatalf("an error (%v) and a result", err)
	}
	if result.Patch == nil || !patchable(pod) {
		return
	}
	once := patched(t, pod, result.Patch)
	allOrNothing(t, once, result.Sets)
	again, err := inject.Pod(once, inject.Facts{Sets: sets})
	if err != nil {
		t.Fatalf("injecting again: %v\n%s", err, once)
	}
	if twice := patched(t, once, again.Patch); !bytes.Equal(once, twice) {
		t.Fatalf("injecting again changes\n%s\nto\n%s", once, twice)
	}
	survives(t, "", decode(t, pod), decode(t, once), replacedBy(sets))
}

// patchable tells whether the patch library can take the document: it wants objects on the paths of a patch.
func patchable(pod []byte) bool {
	patch := jsonpatch.Patch{}
	_, err := patch.Apply(pod)
	return err == nil && len(bytes.TrimSpace(pod)) > 0 && bytes.TrimSpace(pod)[0] == '{' && !bytes.Contains(pod, []byte(`\u0000`))
}

// allOrNothing: every container of every injected set is there.
func allOrNothing(t tb, pod []byte, sets []string) {
	t.Helper()
	var have struct {
		Spec struct{ Containers, InitContainers []struct{ Name string } }
	}
	// What is not a string where a name should be does not concern us: the rest is decoded all the same.
	_ = json.Unmarshal(pod, &have)
	for _, s := range sets {
		for _, name := range sidecars(s) {
			has := func(c struct{ Name string }) bool { return c.Name == name }
			if !slices.ContainsFunc(have.Spec.Containers, has) && !slices.ContainsFunc(have.Spec.InitContainers, has) {
				t.Fatalf("set %s is injected without container %s: %s", s, name, pod)
			}
		}
	}
}

func replacedBy(sets []*inject.Set) []string {
	var names []string
	for _, s := range sets {
		names = append(names, sidecars(s.Name)...)
	}
	return names
}

// sidecars names the containers of a set of the pool.
func sidecars(set string) []string {
	return map[string][]string{
		"sharing": {"agent"}, "transferring": {"proxy"}, "init": {"setup", "early"},
		"clash": {"setup"}, "replacing": {"app", "helper"}, "devices": {"disks"}, "sized": {"sized"},
		"annotating": {"annotated"}, "merging": {"merging"},
	}[set]
}

// survives checks that after holds all that before held: objects keep their keys, the lists that injection
// adds to keep their elements in their order, anything else is the same.
func survives(t tb, path string, before, after any, replaced []string) {
	t.Helper()
	object, isObject := before.(map[string]any)
	list, isList := before.([]any)
	switch kind := grows(path); {
	case kind == "object" && isObject:
		held, _ := after.(map[string]any)
		for key, value := range object {
			if !strings.HasPrefix(key, "kruise.io/sidecarset-") && (path != "/metadata/annotations" || !slices.Contains(given(), key)) {
				survives(t, path+"/"+key, value, held[key], replaced)
			}
		}
	case kind == "list" && isList:
		keeps(t, path, list, after, replaced)
	case kind != "" && path != "":
		// Not the type that it must be; the API server would not have let it come here. It is replaced, as null is.
	case !reflect.DeepEqual(before, after):
		t.Fatalf("%s was %v, is %v", path, before, after)
	}
}

// given are the annotations that a set of the pool may change in a Pod.
func given() []string { return []string{"overwritten", "also", "merged"} }

// grows tells what injection adds to.
func grows(path string) string {
	switch path {
	case "", "/metadata", "/metadata/annotations", "/spec":
		return "object"
	case "/spec/containers", "/spec/initContainers", "/spec/volumes", "/spec/imagePullSecrets":
		return "list"
	}
	return ""
}

// keeps checks that a list still has its elements, but for the containers that are replaced.
func keeps(t tb, path string, before []any, after any, replaced []string) {
	t.Helper()
	rest, _ := after.([]any)
	for _, element := range before {
		named, _ := element.(map[string]any)
		if name, _ := named["name"].(string); strings.HasSuffix(path, "ontainers") && slices.Contains(replaced, name) {
			continue
		}
		i := slices.IndexFunc(rest, func(e any) bool { return reflect.DeepEqual(e, element) })
		if i < 0 {
			t.Fatalf("%s lost %v", path, element)
		}
		rest = rest[i+1:]
	}
}

func decode(t tb, doc []byte) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(doc))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}
