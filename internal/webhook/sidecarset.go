package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	jsonpatch "gomodules.xyz/jsonpatch/v2"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
	"github.com/outrigger-project/outrigger/internal/plan/inject"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

// Sets lists the SidecarSets there are.
type Sets interface {
	SidecarSets(ctx context.Context) ([]sidecarset.Other, error)
}

// Coverer makes sure that the Pod webhook is called for every Pod that a SidecarSet can select.
type Coverer interface {
	Cover(ctx context.Context, s scope.Scope) error
}

// Whitelister reads which annotations SidecarSets may give to Pods.
type Whitelister interface {
	Whitelist(ctx context.Context) (sidecarset.Whitelist, error)
}

// Revisions reads the ControllerRevisions that carry a SidecarSet's name, as they are now.
type Revisions interface {
	Revisions(ctx context.Context, set string) ([]revision.Kept, error)
}

// ValidateSidecarSets refuses SidecarSets that are wrong. Before it admits one, it has the Pod webhook
// widened, so that a Pod created right after the SidecarSet is injected.
//
// admitted is told of it, for the Pods that come before our own watch shows the set.
func ValidateSidecarSets(sets Sets, revisions Revisions, whitelist Whitelister, pods Coverer, admitted *Admitted) http.Handler {
	return For(Rules[*v1beta1.SidecarSet]{
		Kind:   sidecarSetKind(),
		Decode: decodeSidecarSet,
		Validate: func(ctx context.Context, r Review[*v1beta1.SidecarSet]) (field.ErrorList, error) {
			set, old := r.Obj, r.Old
			others, err := sets.SidecarSets(ctx)
			if err != nil {
				return nil, fmt.Errorf("list the other SidecarSets: %w", err)
			}
			if others, err = withUnseen(ctx, set, others, admitted); err != nil {
				return nil, err
			}
			errs := sidecarset.Validate(set, old, others)
			if len(errs) == 0 {
				errs, err = chosenRevision(ctx, set, old, others, revisions)
			}
			if err != nil || len(errs) > 0 {
				return errs, err
			}
			return annotationsAllowed(ctx, set, old, whitelist)
		},
		Prepare: func(ctx context.Context, r Review[*v1beta1.SidecarSet]) error {
			s, err := scope.Of(&r.Obj.Spec)
			if err != nil {
				return err
			}
			if err := pods.Cover(ctx, s); err != nil {
				return err
			}
			if r.Old == nil || !sameScope(&r.Obj.Spec, &r.Old.Spec) {
				admitted.Expect(r.Obj, s)
			}
			return nil
		},
	})
}

// annotationsAllowed refuses annotations for Pods that the whitelist does not allow.
func annotationsAllowed(ctx context.Context, set, old *v1beta1.SidecarSet, whitelist Whitelister) (field.ErrorList, error) {
	if !sidecarset.NeedsWhitelist(set, old) {
		return nil, nil
	}
	allowed, err := whitelist.Whitelist(ctx)
	if err != nil {
		return nil, err
	}
	return allowed.Allows(set), nil
}

// chosenRevision refuses a revision that is not there.
func chosenRevision(ctx context.Context, set, old *v1beta1.SidecarSet, others []sidecarset.Other, revisions Revisions) (field.ErrorList, error) {
	if !sidecarset.NeedsRevisions(set, old) {
		return nil, nil
	}
	kept, err := revisions.Revisions(ctx, set.Name)
	if err != nil {
		return nil, err
	}
	return sidecarset.ValidateRevision(set, old, others, kept), nil
}

// RevisionsFrom reads ControllerRevisions of a namespace from the API server itself: few SidecarSets ask for it, and one
// that was deleted a moment ago does not count.
func RevisionsFrom(live client.Reader, namespace string) Revisions {
	return liveRevisions{live, namespace}
}

type liveRevisions struct {
	live      client.Reader
	namespace string
}

// Revisions implements Revisions.
func (l liveRevisions) Revisions(ctx context.Context, set string) ([]revision.Kept, error) {
	var list appsv1.ControllerRevisionList
	named := client.MatchingLabels{v1beta1.SidecarSetNameLabel: set}
	if err := l.live.List(ctx, &list, client.InNamespace(l.namespace), named); err != nil {
		return nil, fmt.Errorf("list the revisions of SidecarSet %s: %w", set, err)
	}
	all := make([]revision.Kept, len(list.Items))
	for i := range list.Items {
		all[i] = revision.KeptOf(&list.Items[i])
	}
	return all, nil
}

// withUnseen adds what the cache does not show yet, as the API server has it: sets that were admitted here a moment ago,
// and the base of a canary. So the SidecarSets of one file are held against each other.
func withUnseen(ctx context.Context, set *v1beta1.SidecarSet, others []sidecarset.Other, admitted *Admitted) ([]sidecarset.Other, error) {
	names := admitted.unseen()
	base := inject.BaseOf(set)
	if base != "" && !slices.ContainsFunc(others, func(o sidecarset.Other) bool { return o.Set.Name == base }) {
		names = append(names, base)
	}
	for _, name := range names {
		if name == set.Name {
			continue
		}
		fresh, err := admitted.live(ctx, name)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read SidecarSet %s: %w", name, err)
		}
		if s, err := scope.Of(&fresh.Spec); err == nil { // else it selects nothing
			others = slices.DeleteFunc(others, func(o sidecarset.Other) bool { return o.Set.Name == name })
			others = append(others, sidecarset.Other{Set: fresh, Scope: s})
		}
	}
	return others, nil
}

// sameScope tells whether two versions of a SidecarSet select the same Pods by the same words. Then nothing new is
// to be waited for; and a change that changes nothing never shows up in a watch.
func sameScope(a, b *v1beta1.SidecarSetSpec) bool {
	return equality.Semantic.DeepEqual(a.Selector, b.Selector) && equality.Semantic.DeepEqual(a.NamespaceSelector, b.NamespaceSelector)
}

// StampSidecarSets writes a SidecarSet's two hashes into its annotations, and quantities that are numbers with a
// fraction as the text that the schema, which is asked next, can check.
func StampSidecarSets() http.Handler {
	return For(Rules[*v1beta1.SidecarSet]{
		Kind:   sidecarSetKind(),
		Decode: decodeSidecarSet,
		Default: func(_ context.Context, r Review[*v1beta1.SidecarSet]) (Change, error) {
			changes, err := stamps(r.Object.Raw, r.Obj)
			return Change{Operations: append(changes, quotes(r.Object.Raw)...)}, err
		},
	})
}

func sidecarSetKind() schema.GroupKind {
	return schema.GroupKind{Group: v1beta1.GroupName, Kind: "SidecarSet"}
}

// stamps are added to the annotations that were sent; conversion to the hub may have added others.
func stamps(raw []byte, set *v1beta1.SidecarSet) ([]jsonpatch.Operation, error) {
	var sent metav1.PartialObjectMetadata
	if err := json.Unmarshal(raw, &sent); err != nil {
		return nil, fmt.Errorf("read annotations: %w", err)
	}
	hashes, err := revision.Of(&set.Spec)
	if err != nil {
		return nil, fmt.Errorf("hash SidecarSet %s: %w", set.Name, err)
	}
	want := [][2]string{
		{v1beta1.SidecarSetHashAnnotation, hashes.Full},
		{v1beta1.SidecarSetHashWithoutImageAnnotation, hashes.WithoutImage},
	}
	if len(sent.Annotations) == 0 {
		return []jsonpatch.Operation{jsonpatch.NewOperation("add", "/metadata/annotations", map[string]string{want[0][0]: want[0][1], want[1][0]: want[1][1]})}, nil
	}
	var changes []jsonpatch.Operation
	for _, w := range want {
		if sent.Annotations[w[0]] != w[1] {
			changes = append(changes, jsonpatch.NewOperation("add", pointer("metadata", "annotations", w[0]), w[1]))
		}
	}
	return changes, nil
}

func quotes(raw []byte) []jsonpatch.Operation {
	var changes []jsonpatch.Operation
	for _, q := range sidecarset.QuoteQuantities(raw) {
		changes = append(changes, jsonpatch.NewOperation("replace", pointer(q.Path...), q.Text))
	}
	return changes
}

// pointer is the JSON pointer (RFC 6901) that these steps make.
func pointer(steps ...string) string {
	var text strings.Builder
	for _, step := range steps {
		text.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(step))
	}
	return text.String()
}

// SetsFrom lists SidecarSets from a cache. It does not change what it reads. A stored SidecarSet whose
// selectors cannot be read selects nothing.
func SetsFrom(cache client.Reader) Sets { return cachedSets{cache} }

type cachedSets struct{ cache client.Reader }

// SidecarSets implements Sets.
func (c cachedSets) SidecarSets(ctx context.Context) ([]sidecarset.Other, error) {
	var list v1beta1.SidecarSetList
	if err := c.cache.List(ctx, &list, client.UnsafeDisableDeepCopy); meta.IsNoMatchError(err) {
		return nil, nil // nobody has installed their kind
	} else if err != nil {
		return nil, fmt.Errorf("list SidecarSets: %w", err)
	}
	all := make([]sidecarset.Other, 0, len(list.Items))
	for i := range list.Items {
		if s, err := scope.Of(&list.Items[i].Spec); err == nil {
			all = append(all, sidecarset.Other{Set: &list.Items[i], Scope: s})
		}
	}
	return all, nil
}
