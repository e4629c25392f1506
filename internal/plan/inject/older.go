package inject

import (
	"fmt"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/inject/jsonview"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/plan/share"
)

// injectionStrategy.revision gives new Pods an older revision. Of the revision come the five fields that it keeps, and
// the versions in the Pod's annotations; of the SidecarSet as it is now comes everything else.
//
//	updateStrategy.paused is true                          the older revision
//	policy Always (default)                                the older revision
//	Partial, and updateStrategy.selector misses the Pod    the older revision
//	Partial, and partition is a percentage                 the older revision for this share of the owner's Pods
//	Partial, and partition is a number or not set          the newest
//	the Pod was injected with either of both before        the same (Partial only: the others do not change)
//	the older revision is to be injected and is not there  an error: the Pod must not run with what nobody asked for
type older struct {
	// version is the set with the content of the older revision; nil: err says why not.
	version *Set
	err     error
	// always: every Pod gets it.
	always bool
	// selector is updateStrategy.selector; nil selects every Pod.
	selector labels.Selector
	// percent is the share of the Pods that get it.
	percent int
}

// Shared tells that an owner's Pods share the newest and an older revision of the set by their number.
func (s *Set) Shared() bool { return s.older != nil && !s.older.always && s.older.percent > 0 }

// prepareOlder prepares the revision that is asked for, if one is.
func (s *Set) prepareOlder(set *v1beta1.SidecarSet, kept []revision.Kept) error {
	asked := set.Spec.InjectionStrategy.Revision
	if asked == nil || Asked(*asked) == "" {
		return nil
	}
	o := &older{always: set.Spec.UpdateStrategy.Paused || asked.Policy != v1beta1.PartialRevisionPolicy}
	if o.version, o.err = prepareRevision(set, *asked, kept); o.err != nil {
		o.err = fmt.Errorf("SidecarSet %s: spec.injectionStrategy.revision: %w", set.Name, o.err)
	}
	if selector := set.Spec.UpdateStrategy.Selector; selector != nil {
		var err error
		if o.selector, err = metav1.LabelSelectorAsSelector(selector); err != nil {
			return fmt.Errorf("spec.updateStrategy.selector: %w", err)
		}
	}
	if p := set.Spec.UpdateStrategy.Partition; p != nil && p.Type == intstr.String {
		percent, err := strconv.Atoi(strings.TrimSuffix(p.StrVal, "%"))
		if err != nil {
			return fmt.Errorf("spec.updateStrategy.partition: %q: must be a percentage", p.StrVal)
		}
		o.percent = percent
	}
	s.older = o
	return nil
}

// Asked says which revision is asked for, in words; empty: none.
func Asked(r v1beta1.SidecarSetInjectRevision) string {
	if r.RevisionName != nil && *r.RevisionName != "" {
		return "revision " + *r.RevisionName
	}
	if r.CustomVersion != nil && *r.CustomVersion != "" {
		return "revision with the custom version " + *r.CustomVersion
	}
	return ""
}

// Restore returns a SidecarSet with the content of the revision that is asked for, and its record. It shares the content
// with nobody, and everything else with the set.
func Restore(set *v1beta1.SidecarSet, asked v1beta1.SidecarSetInjectRevision, kept []revision.Kept) (*v1beta1.SidecarSet, revision.Record, error) {
	record, found := revision.Chosen(revision.HistoryOf(kept).Of(string(set.UID)), asked)
	if !found {
		return nil, record, fmt.Errorf("this SidecarSet has no %s", Asked(asked))
	}
	restored := *set
	for i := range kept {
		if kept[i].Name != record.Name {
			continue
		}
		content, err := revision.Read(kept[i].Data)
		if err != nil {
			return nil, record, fmt.Errorf("revision %s: %w", record.Name, err)
		}
		content.ApplyTo(&restored.Spec)
	}
	return &restored, record, nil
}

func prepareRevision(set *v1beta1.SidecarSet, asked v1beta1.SidecarSetInjectRevision, kept []revision.Kept) (*Set, error) {
	restored, record, err := Restore(set, asked, kept)
	if err != nil {
		return nil, err
	}
	version, err := prepareVersion(restored, record.Name)
	if err != nil {
		return nil, fmt.Errorf("revision %s: %w", record.Name, err)
	}
	return version, nil
}

// chosen puts the versions that the Pod gets in place of the sets, and returns the balances after that and the names of
// the older revisions. It costs nothing where no revision is asked for.
func chosen(p *pod, sets []*Set, before map[string]share.Balance) (after map[string]share.Balance, names map[string]string, err error) {
	for i, s := range sets {
		if s.older == nil {
			continue
		}
		old := s.older.always || s.older.misses(p)
		if !old && s.older.percent > 0 {
			var known bool
			if old, known = s.injectedOlder(p); !known {
				var balance share.Balance
				old, balance = before[s.Name].Next(s.older.percent)
				after = with(after, s.Name, balance)
			}
		}
		if !old {
			continue
		}
		if s.older.err != nil {
			return nil, nil, s.older.err
		}
		sets[i], names = s.older.version, with(names, s.Name, s.older.version.Revision)
	}
	return after, names, nil
}

func with[V any](m map[string]V, key string, value V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	m[key] = value
	return m
}

// misses tells that updateStrategy.selector is set and does not select the Pod.
func (o *older) misses(p *pod) bool {
	if o.selector == nil {
		return false
	}
	set := labels.Set{}
	for key, value := range p.metadata.Get("labels").Fields() {
		set[key.Text()] = value.Text()
	}
	return !o.selector.Matches(set)
}

// injectedOlder tells which of the two revisions a Pod carries that was injected before.
func (s *Set) injectedOlder(p *pod) (older, known bool) {
	entries, err := earlierVersions(p.metadata.Get("annotations").Get(v1beta1.SidecarSetHashAnnotation).Text())
	if err != nil {
		return false, false // annotate says so
	}
	for _, e := range entries {
		if e.name != s.Name {
			continue
		}
		carried := jsonview.Value(e.raw).Get("controllerRevision")
		if v := s.older.version; v != nil && carried.Is(v.Revision) {
			return true, true
		}
		return false, carried.Is(s.Revision)
	}
	return false, false
}

// Owner names those whose Pods share versions: the Pod's controller by its UID, or, where it has none, its namespace.
func Owner(metadata jsonview.Value, namespace string) string {
	for owner := range metadata.Get("ownerReferences").Elements() {
		if string(owner.Get("controller")) == "true" {
			return owner.Get("uid").Text()
		}
	}
	return "namespace " + namespace
}
