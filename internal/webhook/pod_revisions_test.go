package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
)

// revisionOf is a revision of a set, with another image.
func revisionOf(t *testing.T, set *v1beta1.SidecarSet, name, image string, number int64) *appsv1.ControllerRevision {
	t.Helper()
	older := set.DeepCopy()
	older.Spec.Containers[0].Image = image
	identity, err := revision.IdentityOf(&older.Spec)
	if err != nil {
		t.Fatal(err)
	}
	return &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{v1beta1.SidecarSetNameLabel: set.Name, v1beta1.SidecarSetCustomVersionLabel: image},
			OwnerReferences: []metav1.OwnerReference{{Name: set.Name, UID: set.UID, Controller: ptr.To(true)}},
		},
		Data: runtime.RawExtension{Raw: identity.Data}, Revision: number,
	}
}

// asking is a set whose new Pods get the revision agent-1, all of them or a share.
func asking(partition string) *v1beta1.SidecarSet {
	set := setOf("agent", nil)
	set.UID = "set-1"
	set.Spec.InjectionStrategy.Revision = &v1beta1.SidecarSetInjectRevision{RevisionName: ptr.To("agent-1")}
	if partition != "" {
		set.Spec.InjectionStrategy.Revision.Policy = v1beta1.PartialRevisionPolicy
		set.Spec.UpdateStrategy.Partition = ptr.To(intstr.FromString(partition))
	}
	return set
}

type creation struct {
	uid, owner string
	dryRun     bool
}

// create sends one Pod and returns what it gets: an image and a revision, or the refusal.
func create(t *testing.T, h *PodHandler, c creation) string {
	t.Helper()
	pod := webPod
	if c.owner != "" {
		pod = strings.Replace(pod, `"name":"web"`, `"name":"web","ownerReferences":[{"uid":"other"},{"controller":true,"uid":"`+c.owner+`"}]`, 1)
	}
	var all admissionv1.AdmissionReview
	if err := json.Unmarshal(review("CREATE", "shop", []byte(pod)), &all); err != nil {
		t.Fatal(err)
	}
	all.Request.UID, all.Request.DryRun = types.UID(c.uid), &c.dryRun
	body, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	_, text := send(t, h, http.MethodPost, string(body))
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Response == nil {
		t.Fatalf("%v: %s", err, text)
	}
	if !answer.Response.Allowed {
		return answer.Response.Result.Message
	}
	var got []string
	for _, known := range []string{"i:0", "i:1"} {
		if strings.Contains(string(answer.Response.Patch), `"`+known+`"`) {
			got = append(got, known)
		}
	}
	_, name, _ := strings.Cut(string(answer.Response.Patch), `controllerRevision\":\"`)
	name, _, _ = strings.Cut(name, `\"`)
	return strings.Join(append(got, name), " ")
}

func TestPodHandler_followsRevisions(t *testing.T) {
	h, set := podHandler(t), asking("")
	older, newest := revisionOf(t, set, "agent-1", "i:0", 1), revisionOf(t, set, "agent-adopted", "i:1", 2)
	step := func(what, want string, err error) {
		t.Helper()
		if got := create(t, h, creation{uid: what}); got != want || err != nil {
			t.Errorf("%s: the pod gets %q (%v), want %q", what, got, err, want)
		}
	}
	const gone = "sidecars cannot be injected: SidecarSet agent: spec.injectionStrategy.revision: this SidecarSet has no revision agent-1"
	step("the set before its revision", gone, h.Put(set))
	step("the revision", "i:0 agent-1", h.PutRevision(older))
	deleting := older.DeepCopy()
	deleting.DeletionTimestamp = &metav1.Time{}
	step("the revision is being deleted", gone, h.PutRevision(deleting))
	step("the revision is back", "i:0 agent-1", h.PutRevision(older))
	step("the revision is gone", gone, h.DeleteRevision(older))
	foreign := older.DeepCopy()
	foreign.OwnerReferences[0].UID = "another"
	step("one of that name of another owner", gone, h.PutRevision(foreign))

	step("the revision again", "i:0 agent-1", h.PutRevision(older))
	plain := asking("")
	plain.Spec.InjectionStrategy.Revision = nil
	identity, err := revision.IdentityOf(&plain.Spec)
	if err != nil {
		t.Fatal(err)
	}
	predicted := "i:1 " + revision.Name("agent", identity.Hash, nil)
	step("no revision is asked for", predicted, h.Put(plain))
	step("the newest is there under another name", "i:1 agent-adopted", h.PutRevision(newest))
	step("and is gone", predicted, h.DeleteRevision(newest))
	h.Delete("agent")
	step("the set is gone", "", h.PutRevision(newest))
	step("the set comes after its revisions", "i:1 agent-adopted", h.Put(plain))
}

// TestPodHandler_partialIsExact: in any row of requests, with dry runs, requests that are sent again and refused Pods among
// them, by many callers at a time, every owner's share is off by at most one Pod.
func TestPodHandler_partialIsExact(t *testing.T) {
	for _, percent := range []int{1, 30, 50, 90, 99} {
		h, set := podHandler(t), asking(fmt.Sprint(percent, "%"))
		put(t, h, set)
		if err := h.PutRevision(revisionOf(t, set, "agent-1", "i:0", 1)); err != nil {
			t.Fatal(err)
		}
		const owners, pods = 5, 60
		var older [owners]int
		var all sync.WaitGroup
		for owner := range owners {
			name := fmt.Sprint("rs-", owner)
			if owner == 0 {
				name = "" // Pods without an owner
			}
			all.Go(func() {
				for i := range pods {
					uid := fmt.Sprint(owner, "-", i)
					create(t, h, creation{uid: uid + "-dry", owner: name, dryRun: true})
					first := create(t, h, creation{uid: uid, owner: name})
					if again := create(t, h, creation{uid: uid, owner: name}); again != first {
						t.Errorf("%d %%: the request is answered with %q, sent again with %q", percent, first, again)
					}
					if strings.HasPrefix(first, "i:0 ") {
						older[owner]++
					}
					if off := 100*older[owner] - percent*(i+1); off < -100 || off > 100 {
						t.Errorf("%d %%: owner %q has %d older of %d pods", percent, name, older[owner], i+1)
					}
				}
			})
		}
		all.Wait()
	}
}

func TestRecent_isBoundedAndKeepsWhatIsUsed(t *testing.T) {
	r := recent[int, int]{limit: 10}
	for i := range 1000 {
		r.put(-1, i)
		r.put(i, i)
		if got, ok := r.get(-1); !ok || got != i {
			t.Fatalf("what is used is forgotten after %d others", i)
		}
		if _, ok := r.get(max(0, i-8)); !ok {
			t.Fatalf("%d is forgotten after 8 others", i-8)
		}
		if n := len(r.young) + len(r.old); n > 20 {
			t.Fatalf("%d are remembered, want at most 20", n)
		}
	}
}

// keptRevisions stand for the API server.
type keptRevisions struct {
	kept []revision.Kept
	err  error
}

func (k keptRevisions) Revisions(context.Context, string) ([]revision.Kept, error) {
	return k.kept, k.err
}

func TestValidateSidecarSets_revision(t *testing.T) {
	const plain = `{"apiVersion":"apps.kruise.io/v1beta1","kind":"SidecarSet","metadata":{"name":"agent","uid":"set-1"},` +
		`"spec":{"selector":{"matchLabels":{"app":"web"}},"containers":[{"name":"agent","image":"i:1"}]}}`
	with := func(strategy string) string {
		return strings.Replace(plain, `"spec":{`, `"spec":{"injectionStrategy":{"revision":{`+strategy+`}},`, 1)
	}
	byName, byVersion := with(`"revisionName":"agent-1"`), with(`"customVersion":"i:0"`)
	byVersion = strings.Replace(byVersion, "i:0", "one", 1)
	set := asking("")
	there := revisionOf(t, set, "agent-1", "i:0", 1)
	there.Labels[v1beta1.SidecarSetCustomVersionLabel] = "one"
	foreign, unfit := there.DeepCopy(), revisionOf(t, set, "agent-1", "", 1)
	foreign.OwnerReferences[0].UID = "another"
	tests := map[string]struct {
		set, old string
		kept     *appsv1.ControllerRevision
		err      error
		wantCode int32
		want     string
	}{
		"by name":                     {set: byName, old: plain, kept: there, wantCode: 200},
		"by custom version":           {set: byVersion, old: plain, kept: there, wantCode: 200},
		"not there":                   {set: byName, old: plain, wantCode: 422, want: `spec.injectionStrategy.revision.revisionName: Invalid value: "agent-1": this SidecarSet has no revision agent-1`},
		"no such custom version":      {set: byVersion, old: plain, wantCode: 422, want: `spec.injectionStrategy.revision.customVersion: Invalid value: "one"`},
		"of another owner":            {set: byName, old: plain, kept: foreign, wantCode: 422, want: "has no revision agent-1"},
		"cannot be injected":          {set: byName, old: plain, kept: unfit, wantCode: 422, want: "revision agent-1 cannot be injected: spec.containers[0].image"},
		"at creation":                 {set: byName, kept: there, wantCode: 422, want: "it is being created"},
		"was asked for before":        {set: strings.Replace(byName, "i:1", "i:2", 1), old: byName, wantCode: 200},
		"another policy":              {set: with(`"revisionName":"agent-1","policy":"Partial"`), old: byName, wantCode: 200},
		"another one than before":     {set: byVersion, old: byName, wantCode: 422, want: "custom version one"},
		"no longer":                   {set: plain, old: byName, wantCode: 200},
		"the API server is not there": {set: byName, old: plain, err: errors.New("no answer"), wantCode: 503, want: "no answer"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			request := admissionv1.AdmissionRequest{Operation: "CREATE", Object: object(test.set)}
			if test.old != "" {
				request.Operation, request.OldObject = "UPDATE", object(test.old)
			}
			known := keptRevisions{err: test.err}
			if test.kept != nil {
				known.kept = []revision.Kept{revision.KeptOf(test.kept)}
			}
			got := ask(t, ValidateSidecarSets(others{}, known, &administrator{}, &coverer{}, NewAdmitted(nil)), request)
			if got.Result.Code != test.wantCode || !strings.Contains(got.Result.Message, test.want) {
				t.Errorf("code %d: %s", got.Result.Code, got.Result.Message)
			}
		})
	}
}
