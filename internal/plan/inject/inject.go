// Package inject answers what a Pod must be given so that it carries the SidecarSets that match it.
//
// Prepare does once per version of a SidecarSet whatever does not depend on the Pod; Pod reads of the Pod's
// JSON what the decision needs, in place, and writes the answer as JSON patch operations. Fields of the Pod
// that nobody here knows therefore survive, and the cost does not grow with the Pod. Which sets match is
// package scope's question; nothing here knows the time, the cluster or chance, so that the same request
// gets the same answer.
//
// Injection is all or nothing: any error means no patch. It is idempotent: a Pod that was injected before is
// left as it is. For that, only what the Pod brought itself is a source of mounts and variables: a container
// that was injected, or is replaced by a sidecar of the same name, is none.
//
// The rules are those of OpenKruise (spec: SidecarSet, Pod admission). Start at Pod.
package inject

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/outrigger-project/outrigger/internal/plan/inject/jsonview"
	"github.com/outrigger-project/outrigger/internal/plan/share"
)

// Facts is what a decision knows beside the Pod.
type Facts struct {
	// Sets match the Pod, in the order of injection (scope.Index.Find).
	Sets []*Set
	// SortByName orders the injected containers by name and not as their SidecarSets list them (gate
	// EnableSortSidecarContainerByName). Init containers always are.
	SortByName bool
	// Balances say, by set, where the Pod's owner stands (Set.Shared). Where nothing is said it is 0.
	Balances map[string]share.Balance
}

// Result is what to do to the Pod.
type Result struct {
	// Patch is a JSON patch (RFC 6902). nil: nothing to do.
	Patch []byte
	// Sets names the injected sets, in the order of injection.
	Sets []string
	// Replaced names the sets that match and whose canary the Pod gets instead.
	Replaced []Replacement
	// Older names, by set, the revisions that are injected in place of the newest.
	Older map[string]string
	// Balances are those that this Pod has changed, as they are after it.
	Balances map[string]share.Balance
}

// Pod decides the injection into a Pod at its creation. Sets whose injection is paused are passed over, and so are
// those whose canary is injected (canary.go); a Pod that is finished or being deleted gets nothing. An error names the set and the field and is the user's to
// mend: two sidecars of one name, an annotation of ours that is not what it must be.
func Pod(raw []byte, facts Facts) (Result, error) {
	sets, replaced := injectable(facts.Sets)
	if len(sets) == 0 {
		return Result{}, nil
	}
	doc, err := jsonview.Parse(raw)
	if err != nil {
		return Result{}, fmt.Errorf("read pod: %w", err)
	}
	p := view(doc)
	if !p.active() {
		return Result{}, nil
	}
	if len(p.containers) == 0 {
		return Result{}, errors.New("spec.containers: the pod has none")
	}
	balances, older, err := chosen(p, sets, facts.Balances)
	if err != nil {
		return Result{}, err
	}
	if err := clash(p, sets); err != nil {
		return Result{}, err
	}
	if err := p.patchAnnotations(sets); err != nil {
		return Result{}, err
	}
	if err := p.compute(sets); err != nil {
		return Result{}, err
	}
	p.findSources(sets)
	ops := operations{buf: make([]byte, 0, patchSize(sets))}
	ops.place("/spec/initContainers", p.initContainers, p, initContainersOf(sets))
	ops.place("/spec/containers", p.containers, p, containersOf(sets, facts.SortByName))
	addMissing(&ops, "/spec/volumes", p.volumes, volumesOf(sets))
	addMissing(&ops, "/spec/imagePullSecrets", p.secrets, secretsOf(sets))
	if err := annotate(&ops, p, sets); err != nil {
		return Result{}, err
	}
	result := Result{Patch: ops.done(), Replaced: replaced, Older: older, Balances: balances}
	for _, s := range sets {
		result.Sets = append(result.Sets, s.Name)
	}
	return result, nil
}

// clash refuses two containers of one name, which no Pod can have: of two sets, or an init container of one
// and a container of the other.
func clash(p *pod, sets []*Set) error {
	owner := make(map[string]string, 2*len(sets))
	for _, s := range sets {
		for _, list := range []struct {
			own     []container
			other   []string
			field   string
			article string
		}{
			{s.containers, p.initContainers, "spec.initContainers", "an init container"},
			{s.initContainers, p.containers, "spec.containers", "a container"},
		} {
			for _, c := range list.own {
				if i := slices.Index(list.other, c.name); i >= 0 {
					return fmt.Errorf("SidecarSet %s: cannot inject container %s: the pod has %s of this name (%s[%d])", s.Name, c.name, list.article, list.field, i)
				}
				if other, taken := owner[c.name]; taken {
					return fmt.Errorf("SidecarSet %s: cannot inject container %s: SidecarSet %s injects one of this name into the same pod", s.Name, c.name, other)
				}
				owner[c.name] = s.Name
			}
		}
	}
	return nil
}

// containersOf lists the sidecars in the order of the sets and of their specs, or by name.
func containersOf(sets []*Set, byName bool) []*container {
	var all []*container
	for _, s := range sets {
		for i := range s.containers {
			all = append(all, &s.containers[i])
		}
	}
	if byName {
		sortByName(all)
	}
	return all
}

// initContainersOf lists the init containers of all sets by name: they run one after the other, so their order
// must not depend on which sets there are.
func initContainersOf(sets []*Set) []*container {
	var all []*container
	for _, s := range sets {
		for i := range s.initContainers {
			all = append(all, &s.initContainers[i])
		}
	}
	sortByName(all)
	return all
}

func sortByName(containers []*container) {
	slices.SortFunc(containers, func(a, b *container) int { return cmp.Compare(a.name, b.name) })
}
