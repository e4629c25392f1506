package inplace

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// base has two containers. The environment of web refers to the label tier and the annotation note.
const base = `
metadata:
  labels: {app: web, tier: gold}
  annotations: {note: one, other: o}
spec:
  initContainers:
  - {name: init, image: "init:1", env: [{name: T, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}]}
  - {name: native, image: "native:1", restartPolicy: Always, env: [{name: O, valueFrom: {fieldRef: {fieldPath: "metadata.annotations['other']"}}}]}
  containers:
  - name: web
    image: web:1
    env:
    - {name: TIER, valueFrom: {fieldRef: {fieldPath: "metadata.labels['tier']"}}}
    - {name: NOTE, valueFrom: {fieldRef: {fieldPath: "metadata.annotations['note']"}}}
    - {name: MODE, value: fast}
    resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 500m, memory: 1Gi}}
  - {name: log, image: log:1, env: [{name: SIDECARSET_VERSION, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}]}
  volumes: [{name: v}]
`

func TestBetween(t *testing.T) {
	const noPatch = ", which no patch can change in a running pod"
	web := ContainerImage{Name: "web", To: "web:2"}
	for name, tc := range map[string]struct {
		edit   []string // old, new, …
		resize bool
		renew  bool
		want   Difference
	}{
		"nothing": {},
		"defaults written out": {edit: []string{
			"{name: v}", "{name: v, emptyDir: {}}", "value: fast}", "value: fast}\n    imagePullPolicy: IfNotPresent", "memory: 1Gi", "memory: 1024Mi", "spec:", "spec:\n  restartPolicy: Always",
		}, resize: true},
		"an image":                   {edit: []string{"web:1", "web:2"}, want: Difference{Images: []ContainerImage{web}}},
		"to another default policy":  {edit: []string{"web:1", "web"}, want: Difference{Images: []ContainerImage{{Name: "web", To: "web"}}}},
		"two images, in their order": {edit: []string{"log:1", "log:2", "web:1", "web:2"}, want: Difference{Images: []ContainerImage{web, {Name: "log", To: "log:2"}}}},
		"labels and annotations": {
			edit: []string{"app: web", "more: x", "other: o", "other: o, note2: p"},
			want: Difference{Metadata: Metadata{Labels: map[string]string{"more": "x"}, DropLabels: []string{"app"}, Annotations: map[string]string{"note2": "p"}}},
		},
		"finalizers": {
			edit: []string{"metadata:\n", "metadata:\n  finalizers: [b/c, a/b]\n"},
			want: Difference{Metadata: Metadata{Finalizers: []string{"a/b", "b/c"}}},
		},
		"a label that the environment refers to, with the image": {
			edit: []string{"tier: gold", "tier: red", "note: one, ", "", "web:1", "web:2"},
			want: Difference{
				Images:   []ContainerImage{{Name: "web", To: "web:2", Environment: true, Refs: []Ref{{Annotation: true, Key: "note"}, {Key: "tier"}}}},
				Metadata: Metadata{Labels: map[string]string{"tier": "red"}, DropAnnotations: []string{"note"}},
			},
		},
		"a label that the environment refers to, alone": {
			edit: []string{"tier: gold", "tier: red", "log:1", "log:2"},
			want: Difference{
				Images: []ContainerImage{{Name: "log", To: "log:2"}}, Metadata: Metadata{Labels: map[string]string{"tier": "red"}},
				Recreate: "template.metadata.labels['tier'] differs, which the environment of container web refers to: it gets a new one in place only together with a new image, as the feature gate InPlaceUpdateEnvFromMetadata or KruiseDaemon is off",
			},
		},
		"a label that the environment refers to, where agents start containers anew": {
			edit: []string{"tier: gold", "tier: red", "log:1", "log:2"}, renew: true,
			want: Difference{
				Images:   []ContainerImage{{Name: "web", Environment: true, Refs: []Ref{{Key: "tier"}}}, {Name: "log", To: "log:2"}},
				Metadata: Metadata{Labels: map[string]string{"tier": "red"}},
			},
		},
		"an annotation that a native sidecar refers to": {
			edit: []string{"other: o", "other: p", "web:1", "web:2"},
			want: Difference{
				Images: []ContainerImage{web}, Metadata: Metadata{Annotations: map[string]string{"other": "p"}},
				Recreate: "template.metadata.annotations['other'] differs, which the environment of container native refers to: no init container is started anew in place",
			},
		},
		"resources, by value": {
			edit: []string{"cpu: 1,", "cpu: 2000m,", "cpu: 500m", "cpu: 0.25"}, resize: true,
			want: Difference{Resources: []ContainerResource{{"web", "limits", "cpu", "2"}, {"web", "requests", "cpu", "250m"}}},
		},
		"resources, where that is not allowed": {edit: []string{"cpu: 1,", "cpu: 2,"}, want: Difference{
			Resources: []ContainerResource{{"web", "limits", "cpu", "2"}},
			Recreate:  "cpu or memory changed, and the cluster does not resize running pods (it serves no pods/resize)",
		}},
		"resources that are added": {
			edit: []string{"requests: {cpu: 500m", "requests: {cpu: 500m, ephemeral-storage: 1Gi"}, resize: true,
			want: Difference{Recreate: "template.spec.containers[web].resources.requests.ephemeral-storage is added" + noPatch},
		},
		"a limit that is removed": {
			edit: []string{"limits: {cpu: 1, ", "limits: {"}, resize: true,
			want: Difference{Recreate: "template.spec.containers[web].resources.limits.cpu is removed" + noPatch},
		},
		"a pull policy":           {edit: []string{"image: web:1", "image: web:1\n    imagePullPolicy: Never"}, want: Difference{Recreate: "template.spec.containers[web].imagePullPolicy differs" + noPatch}},
		"environment":             {edit: []string{"fast", "slow", "web:1", "web:2"}, want: Difference{Images: []ContainerImage{web}, Recreate: "template.spec.containers[web].env[MODE].value differs" + noPatch}},
		"an environment variable": {edit: []string{"- {name: MODE, value: fast}", "- {name: MODUS, value: fast}"}, want: Difference{Recreate: "template.spec.containers[web].env[MODUS] is added" + noPatch}},
		"an init container":       {edit: []string{"init:1", "init:2"}, want: Difference{Recreate: "template.spec.initContainers[init].image differs" + noPatch}},
		"a native sidecar":        {edit: []string{"native:1", "native:2"}, want: Difference{Recreate: "template.spec.initContainers[native].image differs" + noPatch}},
		"a container is added":    {edit: []string{"  - {name: log,", "  - {name: new, image: new}\n  - {name: log,"}, want: Difference{Recreate: "template.spec.containers[new] is added" + noPatch}},
		"a container is renamed":  {edit: []string{"{name: log,", "{name: logs,"}, want: Difference{Recreate: "template.spec.containers[logs] is added" + noPatch}},
		"a container is removed":  {edit: []string{"  - {name: log, image: log:1, env: [{name: SIDECARSET_VERSION, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}]}\n", ""}, want: Difference{Recreate: "template.spec.containers[log] is removed" + noPatch}},
		"another order":           {edit: []string{"- {name: init,", "- {name: x,", "- {name: native,", "- {name: init,", "- {name: x,", "- {name: native,"}, want: Difference{Recreate: "template.spec.initContainers is in another order" + noPatch}},
		"a volume":                {edit: []string{"{name: v}", "{name: v, emptyDir: {medium: Memory}}"}, want: Difference{Recreate: "template.spec.volumes[v].emptyDir.medium is added" + noPatch}},
		"an unnamed element":      {edit: []string{"spec:\n", "spec:\n  tolerations: [{key: a}]\n"}, want: Difference{Recreate: "template.spec.tolerations is added" + noPatch}},
		"a field of a newer Kubernetes": {
			edit: []string{"value: fast}", "value: fast}\n    newField: 1"}, want: Difference{Recreate: "template.spec.containers[web].newField is added" + noPatch},
		},
	} {
		t.Run(name, func(t *testing.T) {
			edited := base
			for i := 0; i < len(tc.edit); i += 2 {
				if !strings.Contains(edited, tc.edit[i]) {
					t.Fatalf("there is no %q to edit", tc.edit[i])
				}
				edited = strings.Replace(edited, tc.edit[i], tc.edit[i+1], 1)
			}
			from, to := parseTemplateLoosely(t, base), parseTemplateLoosely(t, edited)
			if diff := cmp.Diff(tc.want, Between(from, to, Able{tc.resize, tc.renew})); diff != "" {
				t.Errorf("Between (-want +got):\n%s", diff)
			}
			if back := Between(to, from, Able{tc.resize, tc.renew}); (back.Recreate == "") != (tc.want.Recreate == "") {
				t.Errorf("the way back: %+v", back)
			}
		})
	}
}

// A container that nobody would start anew is not: it takes a new Pod.
func TestBetween_whatNoAgentRenews(t *testing.T) {
	for want, c := range map[string]string{
		"its restartPolicy is Never, so kubelet does not start it anew":                              `restartPolicy: Never`,
		"its restartPolicy is OnFailure, so kubelet does not start it anew":                          `restartPolicy: OnFailure`,
		"its preStop hook calls something else than the Pod's own address, which no node agent does": `lifecycle: {preStop: {httpGet: {host: example.com, port: 80}}}`,
		"": `lifecycle: {preStop: {httpGet: {port: 80}}}`,
	} {
		of := func(tier string) *v1beta1.PodTemplate {
			return parseTemplateLoosely(t, `{metadata: {labels: {tier: `+tier+`}}, spec: {containers: [{name: a, image: a, env: [{name: T, valueFrom: {fieldRef: {fieldPath: "metadata.labels['tier']"}}}], `+c+`}]}}`)
		}
		if want != "" {
			want = "template.metadata.labels['tier'] differs, which the environment of container a refers to: " + want
		}
		if got := Between(of("gold"), of("red"), Able{Renew: true}).Recreate; got != want {
			t.Errorf("%s: %q, want %q", c, got, want)
		}
	}
}

func parseTemplateLoosely(t *testing.T, text string) *v1beta1.PodTemplate {
	t.Helper()
	var parsed v1beta1.PodTemplate
	if err := yaml.Unmarshal([]byte(text), &parsed); err != nil {
		t.Fatal(err)
	}
	return &parsed
}

// What a template limits and does not request is requested as it is limited: both change.
func TestBetween_aLimitIsARequest(t *testing.T) {
	of := func(cpu string) *v1beta1.PodTemplate {
		return parseTemplateLoosely(t, `{spec: {containers: [{name: a, image: a, resources: {limits: {cpu: `+cpu+`}}}]}}`)
	}
	want := Difference{Resources: []ContainerResource{{"a", "limits", "cpu", "2"}, {"a", "requests", "cpu", "2"}}}
	if diff := cmp.Diff(want, Between(of("1"), of("2"), Able{Resize: true})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Sizes{"a": {"2", "", "2", ""}}, SizesOf(&of("2").Spec)); diff != "" {
		t.Errorf("SizesOf (-want +got):\n%s", diff)
	}
}

func TestFirstDifference_namesElements(t *testing.T) {
	for name, tc := range map[string]struct{ from, to, where, how string }{
		"equal":          {from: `{a: [1, {b: 2}]}`, to: `{a: [1, {b: 2}]}`},
		"unnamed":        {from: `{a: [{b: 1}, {b: 2}]}`, to: `{a: [{b: 1}, {b: 3}]}`, where: "t.a[1].b", how: "differs"},
		"longer":         {from: `{a: [1]}`, to: `{a: [1, 2]}`, where: "t.a[1]", how: "is added"},
		"shorter":        {from: `{a: [1, 2]}`, to: `{a: [1]}`, where: "t.a[1]", how: "is removed"},
		"another type":   {from: `{a: {b: 1}}`, to: `{a: [1]}`, where: "t.a", how: "differs"},
		"a type to none": {from: `{a: [1]}`, to: `{a: null}`, where: "t.a", how: "differs"},
		"twice a name":   {from: `{a: [{name: x}, {name: x, b: 1}]}`, to: `{a: [{name: x, b: 1}, {name: x}]}`, where: "t.a[x].b", how: "is added"},
		"once less":      {from: `{a: [{name: x}, {name: x}]}`, to: `{a: [{name: x}]}`, where: "t.a", how: "is in another order"},
	} {
		var from, to any
		if err := yaml.Unmarshal([]byte(tc.from), &from); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal([]byte(tc.to), &to); err != nil {
			t.Fatal(err)
		}
		if where, how := firstDifference(from, to, "t"); where != tc.where || how != tc.how {
			t.Errorf("%s: %s %s, want %s %s", name, where, how, tc.where, tc.how)
		}
	}
}
