package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/test/env"
)

// revisions returns a SidecarSet's revisions, the newest last, as kubectl finds them.
func revisions(ctx context.Context, set string) ([]appsv1.ControllerRevision, error) {
	out, err := cluster.Kubectl(ctx, "get", "controllerrevisions", "-n", env.Namespace, "-l", "kruise.io/sidecarset-name="+set, "-o", "json")
	if err != nil {
		return nil, err
	}
	var list appsv1.ControllerRevisionList
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, err
	}
	slices.SortFunc(list.Items, func(a, b appsv1.ControllerRevision) int { return int(a.Revision - b.Revision) })
	return list.Items, nil
}

func numbers(list []appsv1.ControllerRevision) []int64 {
	var all []int64
	for _, r := range list {
		all = append(all, r.Revision)
	}
	return all
}

// newest waits until the newest revision has this number and the status names it, and returns it.
func newest(t *testing.T, set string, number int64) appsv1.ControllerRevision {
	t.Helper()
	var found appsv1.ControllerRevision
	eventually(t, time.Minute, func(ctx context.Context) error {
		list, err := revisions(ctx, set)
		if err != nil || len(list) == 0 {
			return fmt.Errorf("SidecarSet %s: %d revisions, %w", set, len(list), err)
		}
		found = list[len(list)-1]
		latest, err := cluster.Kubectl(ctx, "get", "sidecarset", set, "-o", "jsonpath={.status.latestRevision}")
		if err != nil || latest != found.Name || found.Revision != number {
			return fmt.Errorf("SidecarSet %s: latest is %q, newest is %s with number %d, want number %d, %w", set, latest, found.Name, found.Revision, number, err)
		}
		return nil
	})
	return found
}

// TestRow26to28_RevisionHistory is scenario rows 26, 27 and 28: what is kept, where, under which names; 15 edits with
// limit 10 keep 6…15, and the content of 12 comes back as 16.
func TestRow26to28_RevisionHistory(t *testing.T) {
	const set = "history"
	applySet(t, set, fmt.Sprintf(setTemplate, set, "1"))
	image := func(i int) string {
		return fmt.Sprintf(`{"spec":{"containers":[{"name":"logtail","image":"logtail:%d"}]}}`, i)
	}
	names := map[int]string{1: newest(t, set, 1).Name}
	for i := 2; i <= 15; i++ {
		change(t, set, image(i))
		names[i] = newest(t, set, int64(i)).Name
	}
	keeps := func(want ...int64) {
		t.Helper()
		eventually(t, time.Minute, func(ctx context.Context) error {
			list, err := revisions(ctx, set)
			if diff := cmp.Diff(want, numbers(list)); err != nil || diff != "" {
				return fmt.Errorf("revisions (-want +got):\n%s %w", diff, err)
			}
			return nil
		})
	}
	keeps(6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
	change(t, set, image(12))
	if back := newest(t, set, 16); back.Name != names[12] {
		t.Errorf("the content of 12 is in %s, not in %s", back.Name, names[12])
	}
	keeps(6, 7, 8, 9, 10, 11, 13, 14, 15, 16)
	change(t, set, `{"spec":{"revisionHistoryLimit":2}}`)
	keeps(15, 16)
}

// TestRow26and30_RevisionContent: exactly five fields, all of them always; the label of a custom
// version; volumes alone make a revision and update no Pod; revisions go with their SidecarSet.
func TestRow26and30_RevisionContent(t *testing.T) {
	const set, n = "content", 3
	w := fleet(t, set, n, "1", nil)
	first := newest(t, set, 1)
	var data struct{ Spec map[string]json.RawMessage }
	if err := json.Unmarshal(first.Data.Raw, &data); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"volumes", "initContainers", "imagePullSecrets", "patchPodMetadata"} {
		if string(data.Spec[key]) != "null" {
			t.Errorf("%s is %s, want null", key, data.Spec[key])
		}
	}
	if len(data.Spec) != 6 || string(data.Spec["$patch"]) != `"replace"` || !strings.Contains(string(data.Spec["containers"]), "logtail:1.0.0") {
		t.Errorf("data is %s", first.Data.Raw)
	}
	if len(first.OwnerReferences) != 1 || first.OwnerReferences[0].Name != set || !strings.HasPrefix(first.Name, set+"-") {
		t.Errorf("revision is %+v", first.ObjectMeta)
	}
	hash := kubectl(t, "", "get", "sidecarset", set, "-o", `jsonpath={.metadata.annotations.kruise\.io/sidecarset-hash}`)
	if first.Annotations["kruise.io/sidecarset-hash"] != hash || hash == "" || first.Annotations["kruise.io/sidecarset-hash-without-image"] == "" {
		t.Errorf("annotations are %v, want hash %s", first.Annotations, hash)
	}
	told := func() []string {
		t.Helper()
		pods, err := cluster.Client.CoreV1().Pods(set).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for i := range pods.Items {
			all = append(all, revisionOf(t, pods.Items[i].Annotations, set))
		}
		return all
	}
	if diff := cmp.Diff(slices.Repeat([]string{first.Name}, n), told()); diff != "" {
		t.Errorf("pods name revisions (-want +got):\n%s", diff)
	}

	change(t, set, `{"spec":{"volumes":[{"name":"data","emptyDir":{}}]}}`)
	second := newest(t, set, 2)
	readyMessage(t, set, n)
	if _, most := w.Writes(); most > 0 || second.Name == first.Name || second.Annotations["kruise.io/sidecarset-hash"] != hash {
		t.Errorf("a volume changed pods; revision %s, hash %s", second.Name, second.Annotations["kruise.io/sidecarset-hash"])
	}

	change(t, set, `{"spec":{"customVersion":"v2"}}`)
	labelled(t, set, second.Name, "v2")
	kubectl(t, "", "label", "sidecarsets.v1alpha1.apps.kruise.io", set, "apps.kruise.io/sidecarset-custom-version=v3", "--overwrite")
	labelled(t, set, second.Name, "v3")

	change(t, set, `{"spec":{"containers":[{"name":"logtail","image":"logtail:2"}]}}`)
	w.Expect("logtail:2", env.Limits{Unavailable: 1, Updated: -1})
	reach(t, w, n)
	third := newest(t, set, 3)
	if diff := cmp.Diff(slices.Repeat([]string{third.Name}, n), told()); diff != "" {
		t.Errorf("updated pods name revisions (-want +got):\n%s", diff)
	}

	kubectl(t, "", "delete", "sidecarset", set)
	eventually(t, time.Minute, func(ctx context.Context) error {
		if list, err := revisions(ctx, set); err != nil || len(list) > 0 {
			return fmt.Errorf("%d revisions are left, %w", len(list), err)
		}
		return nil
	})
}

// labelled waits until exactly this revision has the custom version.
func labelled(t *testing.T, set, name, version string) {
	t.Helper()
	eventually(t, time.Minute, func(ctx context.Context) error {
		list, err := revisions(ctx, set)
		for _, r := range list {
			if has := r.Labels["apps.kruise.io/sidecarset-custom-version"] == version; has != (r.Name == name) {
				return fmt.Errorf("revision %s has labels %v", r.Name, r.Labels)
			}
		}
		return err
	})
}

// revisionOf reads which revision of a set a Pod's annotations name.
func revisionOf(t *testing.T, annotations map[string]string, set string) string {
	t.Helper()
	var entries map[string]struct{ ControllerRevision string }
	if err := json.Unmarshal([]byte(annotations["kruise.io/sidecarset-hash"]), &entries); err != nil {
		t.Fatal(err)
	}
	return entries[set].ControllerRevision
}
