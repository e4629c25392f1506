package revision_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/randfill"
	"sigs.k8s.io/yaml"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

const terseTemplate = `
metadata: {name: ignored, labels: {app: web}, annotations: {note: text}, finalizers: [x/y]}
spec:
  serviceAccountName: web
  hostNetwork: true
  overhead: {cpu: 0.1}
  initContainers:
  - {name: init, image: "init:1"}
  containers:
  - name: web
    image: reg:5000/web
    ports: [{containerPort: 80}]
    env:
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
    resources: {limits: {memory: 1Gi, cpu: 500m}}
    livenessProbe: {httpGet: {port: 80}}
    readinessProbe: {grpc: {port: 80}}
    lifecycle: {preStop: {httpGet: {port: 81}}}
  volumes:
  - {name: empty}
  - {name: limited, emptyDir: {sizeLimit: 1Mi}}
  - {name: host, hostPath: {path: /x}}
  - {name: secret, secret: {secretName: s}}
  - {name: config, configMap: {name: c}}
  - {name: downward, downwardAPI: {items: [{path: p, fieldRef: {fieldPath: metadata.labels}}]}}
  - name: projected
    projected:
      sources:
      - serviceAccountToken: {path: t}
      - downwardAPI: {items: [{path: c, resourceFieldRef: {containerName: web, resource: limits.memory}}]}
  - {name: ephemeral, ephemeral: {volumeClaimTemplate: {spec: {resources: {requests: {storage: 1Gi}}}}}}
  - {name: image, image: {reference: "files:1"}}
  - {name: iscsi, iscsi: {targetPortal: t, iqn: i, lun: 0}}
  - {name: rbd, rbd: {monitors: [m], image: i}}
  - {name: azure, azureDisk: {diskName: d, diskURI: u}}
  - {name: scale, scaleIO: {gateway: g, system: s, secretRef: {name: key}}}
`

// verboseTemplate says the same with all that API servers write in, and what OpenKruise's revisions keep.
const verboseTemplate = `
metadata: {creationTimestamp: null, labels: {app: web}, annotations: {note: text}, finalizers: [x/y]}
spec:
  serviceAccountName: web
  serviceAccount: web
  hostNetwork: true
  dnsPolicy: ClusterFirst
  restartPolicy: Always
  schedulerName: default-scheduler
  securityContext: {}
  affinity: {}
  terminationGracePeriodSeconds: 30
  enableServiceLinks: true
  overhead: {cpu: 100m}
  nodeSelector: {}
  tolerations: []
  initContainers:
  - {name: init, image: "init:1", imagePullPolicy: IfNotPresent, terminationMessagePath: /dev/termination-log, terminationMessagePolicy: File, resources: {}}
  containers:
  - name: web
    image: reg:5000/web
    imagePullPolicy: Always
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
    securityContext: {}
    ports: [{containerPort: 80, hostPort: 80, protocol: TCP}]
    env:
    - {name: POD, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.name}}}
    - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: "1"}}}
    resources: {limits: {memory: 1073741824, cpu: 0.5}, requests: {memory: 1024Mi, cpu: 500m}}
    livenessProbe: {httpGet: {port: 80, path: /, scheme: HTTP, protocol: HTTP1}, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}
    readinessProbe: {grpc: {port: 80, service: ""}, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}
    lifecycle: {preStop: {httpGet: {port: 81, path: /, scheme: HTTP}}}
  volumes:
  - {name: empty, emptyDir: {}}
  - {name: limited, emptyDir: {sizeLimit: 1024Ki}}
  - {name: host, hostPath: {path: /x, type: ""}}
  - {name: secret, secret: {secretName: s, defaultMode: 420}}
  - {name: config, configMap: {name: c, defaultMode: 420}}
  - {name: downward, downwardAPI: {defaultMode: 420, items: [{path: p, fieldRef: {apiVersion: v1, fieldPath: metadata.labels}}]}}
  - name: projected
    projected:
      defaultMode: 420
      sources:
      - serviceAccountToken: {path: t, expirationSeconds: 3600}
      - downwardAPI: {items: [{path: c, resourceFieldRef: {containerName: web, resource: limits.memory, divisor: "0"}}]}
  - {name: ephemeral, ephemeral: {volumeClaimTemplate: {spec: {volumeMode: Filesystem, resources: {requests: {storage: 1024Mi}}}}}}
  - {name: image, image: {reference: "files:1", pullPolicy: IfNotPresent}}
  - {name: iscsi, iscsi: {targetPortal: t, iqn: i, lun: 0, iscsiInterface: default}}
  - {name: rbd, rbd: {monitors: [m], image: i, pool: rbd, user: admin, keyring: /etc/ceph/keyring}}
  - {name: azure, azureDisk: {diskName: d, diskURI: u, cachingMode: ReadWrite, fsType: ext4, readOnly: false, kind: Shared}}
  - {name: scale, scaleIO: {gateway: g, system: s, secretRef: {name: key}, storageMode: ThinProvisioned, fsType: xfs}}
`

func template(t *testing.T, text string) *v1beta1.PodTemplate {
	t.Helper()
	var parsed v1beta1.PodTemplate
	if err := yaml.UnmarshalStrict([]byte(text), &parsed); err != nil {
		t.Fatal(err)
	}
	return &parsed
}

func identityOf(t *testing.T, of *v1beta1.PodTemplate) revision.Identity {
	t.Helper()
	identity, err := revision.TemplateIdentity(of)
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

func TestTemplateIdentity_writingDefaultsOutChangesNothing(t *testing.T) {
	short, long := template(t, terseTemplate), template(t, verboseTemplate)
	if diff := cmp.Diff(string(identityOf(t, short).Data), string(identityOf(t, long).Data)); diff != "" {
		t.Errorf("data (-terse +verbose):\n%s", diff)
	}
	if diff := cmp.Diff(template(t, terseTemplate), short); diff != "" {
		t.Errorf("TemplateIdentity changed its argument:\n%s", diff)
	}
}

// The names are stored in Pods and ControllerRevisions, and the data is read by OpenKruise and kubectl.
func TestTemplateIdentity_isStableOverReleases(t *testing.T) {
	identity := identityOf(t, template(t, `{metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: "web:1", resources: {limits: {cpu: 1}}}]}}`))
	want := `{"spec":{"template":{"$patch":"replace","metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"image":"web:1",` +
		`"imagePullPolicy":"IfNotPresent","name":"web","resources":{"limits":{"cpu":"1"},"requests":{"cpu":"1"}},` +
		`"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","enableServiceLinks":true,` +
		`"restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}}}`
	if diff := cmp.Diff(want, string(identity.Data)); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
	if got, want := revision.Name("web", identity.InName, nil), "web-vw89ff5dcx"; got != want {
		t.Errorf("name %s, want %s", got, want)
	}
	if got, want := revision.Name("web", identity.InName, ptr.To[int32](1)), "web-6b7x9wv4d7"; got != want {
		t.Errorf("name after a clash %s, want %s", got, want)
	}
	if !strings.HasPrefix(identity.Hash, identity.InName) || !regexp.MustCompile(`^[a-z0-9]{10}$`).MatchString(identity.InName) {
		t.Errorf("hash %s, in names %s", identity.Hash, identity.InName)
	}
}

// What makes other Pods makes another revision.
func TestTemplateIdentity_whatMakesARevision(t *testing.T) {
	seen := map[string]string{identityOf(t, template(t, terseTemplate)).Hash: "nothing"}
	for name, change := range map[string]func(*v1beta1.PodTemplate){
		"image":      func(p *v1beta1.PodTemplate) { p.Spec.Containers[0].Image = "web:2" },
		"init image": func(p *v1beta1.PodTemplate) { p.Spec.InitContainers[0].Image = "init:2" },
		"label":      func(p *v1beta1.PodTemplate) { p.Labels["app"] = "b" },
		"annotation": func(p *v1beta1.PodTemplate) { p.Annotations["more"] = "" },
		"finalizer":  func(p *v1beta1.PodTemplate) { p.Finalizers = nil },
		"request": func(p *v1beta1.PodTemplate) {
			p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse("1m")}
		},
		"volume": func(p *v1beta1.PodTemplate) {
			p.Spec.Volumes[0].EmptyDir = &corev1.EmptyDirVolumeSource{Medium: "Memory"}
		},
		"grace":        func(p *v1beta1.PodTemplate) { p.Spec.TerminationGracePeriodSeconds = ptr.To[int64](31) },
		"no grace":     func(p *v1beta1.PodTemplate) { p.Spec.TerminationGracePeriodSeconds = ptr.To[int64](0) },
		"host network": func(p *v1beta1.PodTemplate) { p.Spec.HostNetwork = false },
		"affinity": func(p *v1beta1.PodTemplate) {
			p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}}
		},
		"another": func(p *v1beta1.PodTemplate) {
			p.Spec.Containers = append(p.Spec.Containers, p.Spec.InitContainers...)
		},
		"divisor": func(p *v1beta1.PodTemplate) {
			p.Spec.Containers[0].Env[1].ValueFrom.ResourceFieldRef.Divisor = resource.MustParse("1m")
		},
		"environment": func(p *v1beta1.PodTemplate) { p.Spec.Containers[0].Env[0].Name = "X" },
		"probe protocol": func(p *v1beta1.PodTemplate) {
			p.Spec.Containers[0].LivenessProbe.HTTPGet.Protocol = ptr.To(corev1.HTTPProtocol("H2C"))
		},
	} {
		p := template(t, terseTemplate)
		change(p)
		hash := identityOf(t, p).Hash
		if other, same := seen[hash]; same {
			t.Errorf("%s makes the same revision as %s", name, other)
		}
		seen[hash] = name
	}
	p := template(t, terseTemplate)
	p.Name, p.Namespace, p.Generation = "a", "b", 7
	if seen[identityOf(t, p).Hash] != "nothing" {
		t.Error("what Pods do not get of the metadata makes another revision")
	}
}

// Whatever a template is: its normal form is its own normal form, and is read back from the data.
func TestTemplateIdentity_anyTemplate(t *testing.T) {
	fill := randfill.New().RandSource(rand.NewSource(1)).NilChance(0.3).NumElements(0, 2).MaxDepth(9).Funcs(
		func(m *metav1.ObjectMeta, c randfill.Continue) { c.Fill(&m.Labels); c.Fill(&m.Annotations) },
		func(q *resource.Quantity, c randfill.Continue) {
			*q = resource.MustParse([]string{"0", "1", "1024", "100m", "1Ki", "1024500m", "3G", "1e3", "12345678901234567890", "7n", "-5", "0.5"}[c.Intn(12)])
		},
	)
	for range 300 {
		var p v1beta1.PodTemplate
		fill.Fill(&p.PodTemplateSpec)
		before := p.DeepCopy()
		identity := identityOf(t, &p)
		if diff := cmp.Diff(before, &p); diff != "" {
			t.Fatalf("TemplateIdentity changed its argument:\n%s", diff)
		}
		read, err := revision.ReadTemplate(identity.Data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(identity.Data), string(identityOf(t, read).Data)); diff != "" {
			t.Fatalf("read back (-want +got):\n%s", diff)
		}
		for i := range read.Spec.Containers {
			for name, q := range read.Spec.Containers[i].Resources.Limits {
				was := before.Spec.Containers[i].Resources.Limits[name]
				was.RoundUp(resource.Milli)
				if was.Cmp(q) != 0 {
					t.Fatalf("%s became %s", was.String(), q.String())
				}
			}
		}
	}
}

// A field that a newer Kubernetes has is kept, makes another revision, and is restored; wherever it is.
func TestTemplateIdentity_keepsUnknownFields(t *testing.T) {
	const known = `{metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: a, tty: false}, {name: b, image: b%s}], volumes: [{name: v%s}], hostPID: false%s}}`
	seen := map[string]string{}
	for name, text := range map[string]string{
		"none":               fmt.Sprintf(known, "", "", ""),
		"in spec":            fmt.Sprintf(known, "", "", ", newField: false"),
		"of another value":   fmt.Sprintf(known, "", "", ", newField: 9007199254740993"),
		"in a container":     fmt.Sprintf(known, ", newField: {deep: [1]}", "", ""),
		"in an empty object": fmt.Sprintf(known, ", securityContext: {newField: true}", "", ""),
		"in a probe":         fmt.Sprintf(known, ", livenessProbe: {newHandler: {}}", "", ""),
		"a volume's source":  fmt.Sprintf(known, "", ", newSource: {}", ""),
	} {
		written := template(t, text)
		identity := identityOf(t, written)
		if other, same := seen[identity.Hash]; same {
			t.Errorf("%s makes the same revision as %s", name, other)
		}
		seen[identity.Hash] = name
		read, err := revision.ReadTemplate(identity.Data)
		if err != nil {
			t.Fatal(err)
		}
		if again := identityOf(t, read); !bytes.Equal(again.Data, identity.Data) {
			t.Errorf("%s: read back, it is\n%s\nwant\n%s", name, again.Data, identity.Data)
		}
		if data := string(identity.Data); strings.Contains(text, "newSource") == strings.Contains(data, "emptyDir") || strings.Contains(text, "9007199254740993") != strings.Contains(data, "9007199254740993") {
			t.Errorf("%s is kept as %s", name, data)
		}
		if pod, err := json.Marshal(read); err != nil || strings.Contains(string(pod), "$patch") || strings.Contains(text, "new") != strings.Contains(string(pod), "new") {
			t.Errorf("%s makes pods of %s, %v", name, pod, err)
		}
		written.Spec.Containers[0].Image = "c"
		if changed := identityOf(t, written); strings.Contains(string(changed.Data), "new") {
			t.Errorf("%s: what was read is kept of a template that was changed since", name)
		}
	}
}

func TestReadTemplate_refuses(t *testing.T) {
	for _, data := range []string{``, `{`, `[]`, `{}`, `{"spec":{}}`, `{"spec":{"template":null}}`, `{"spec":{"template":7}}`, `{"spec":{"template":{"spec":{"containers":{}}}}}`} {
		if read, err := revision.ReadTemplate([]byte(data)); err == nil {
			t.Errorf("%s is read as %v", data, read)
		}
		if hash := revision.TemplateHashOf(&appsv1.ControllerRevision{Data: runtime.RawExtension{Raw: []byte(data)}}); hash != "" {
			t.Errorf("%s has the hash %s", data, hash)
		}
	}
}

func FuzzReadTemplate(f *testing.F) {
	for _, data := range []string{`{"spec":{"template":{"$patch":"replace","spec":{"volumes":[{"name":"v"}],"containers":[{"name":"c","image":"c","ports":[{}],"env":[{"valueFrom":{}}]}]}}}}`, `{"spec":{"template":{}}}`, `{"spec":{"template":{"spec":{"new":1,"securityContext":{"new":[]},"volumes":[{"newer":{}}]}}}}`} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := revision.ReadTemplate(data)
		if err != nil {
			return
		}
		identity := identityOf(t, read)
		if again := revision.TemplateHashOf(&appsv1.ControllerRevision{Data: runtime.RawExtension{Raw: identity.Data}}); again != identity.Hash {
			t.Errorf("%s has the hash %q, and read back %q", identity.Data, identity.Hash, again)
		}
	})
}

func wantedTemplate(t *testing.T, of *v1beta1.PodTemplate) revision.Wanted {
	t.Helper()
	wanted, err := revision.WantedTemplate(revision.Owner{Name: "web", UID: "uid"}, of, map[string]string{"note": "text", corev1.LastAppliedConfigAnnotation: "{}"})
	if err != nil {
		t.Fatal(err)
	}
	return wanted
}

// A cluster that OpenKruise wrote is taken over without another revision: the content is the same, so the name stays.
func TestDecide_reusesWhatOpenKruiseWrote(t *testing.T) {
	data, err := yaml.YAMLToJSON([]byte("spec:\n  template:\n    $patch: replace" + strings.ReplaceAll(verboseTemplate, "\n", "\n    ")))
	if err != nil {
		t.Fatal(err)
	}
	theirs := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Name: "web-5d8f6c9b7", Labels: map[string]string{"app": "web", revision.HashLabel: "5d8f6c9b7"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "CloneSet", Name: "web", UID: "uid", Controller: ptr.To(true)}},
		},
		Revision: 3, Data: runtime.RawExtension{Raw: data},
	}
	record := revision.RecordOf(theirs)
	record.Hash = revision.TemplateHashOf(theirs)
	d := revision.Decide(wantedTemplate(t, template(t, terseTemplate)), revision.History{Records: []revision.Record{record}})
	if d.Name != "web-5d8f6c9b7" || len(d.Steps) > 0 {
		t.Errorf("the revision is %s, and %v is to be done", d.Name, d.Steps)
	}
	other := template(t, terseTemplate)
	other.Spec.Containers[0].Image = "web:2"
	if d := revision.Decide(wantedTemplate(t, other), revision.History{Records: []revision.Record{record}}); len(d.Steps) != 1 || d.Steps[0].Revision.Number != 4 {
		t.Errorf("another template: %+v", d.Steps)
	}
}

func TestDecide_whatATemplatesRevisionCarries(t *testing.T) {
	of := template(t, terseTemplate)
	labels := maps.Clone(of.Labels)
	wanted := wantedTemplate(t, of)
	d := revision.Decide(wanted, revision.History{Taken: []string{revision.Name("web", wanted.Identity.InName, nil)}})
	r := d.Steps[0].Revision
	if diff := cmp.Diff(map[string]string{"app": "web", revision.HashLabel: strings.TrimPrefix(d.Name, "web-")}, r.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"note": "text"}, r.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if ptr.Deref(d.Collisions, 0) != 1 || !cmp.Equal(labels, of.Labels) {
		t.Errorf("collisions %d, the template's labels are %v", ptr.Deref(d.Collisions, 0), of.Labels)
	}
}

func TestLabel_andNames(t *testing.T) {
	long := strings.Repeat("w", 60) + "-0123456789"
	for _, tc := range []struct {
		name  string
		short bool
		want  string
	}{{"web-abc", false, "web-abc"}, {"web-abc", true, "abc"}, {long, false, "0123456789"}} {
		label := revision.Label(tc.name, tc.short)
		if label != tc.want || !revision.Names(label, tc.name) || revision.Names(label, tc.name+"d") {
			t.Errorf("Label(%s, %t) = %s, which names it: %t", tc.name, tc.short, label, revision.Names(label, tc.name))
		}
	}
	if revision.Names("", "web-") || revision.Names("", "") {
		t.Error("no label names a revision")
	}
}
