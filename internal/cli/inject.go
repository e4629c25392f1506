package cli

import (
	"errors"
	"fmt"
	"maps"

	"github.com/spf13/cobra"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/inject"
	"github.com/outrigger-project/outrigger/internal/plan/inject/jsonview"
	"github.com/outrigger-project/outrigger/internal/plan/revision"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
	"github.com/outrigger-project/outrigger/internal/plan/share"
)

const injectHelp = `Print Pods as they become when they are created on a cluster that has these SidecarSets.

The answer is made offline, by the function that the manager's webhook calls. Files hold Pods,
SidecarSets (v1beta1 or v1alpha1) and, for SidecarSets with a namespaceSelector that asks for more
than a name, Namespaces, and, for those with injectionStrategy.revision, their ControllerRevisions; one file may hold several documents, or a List. Pods that no SidecarSet
selects are printed as they are.`

type injectOptions struct {
	files     []string
	output    string
	namespace string
	explain   bool
	sorted    bool
}

func newInject(streams Streams, decode Decode) *cobra.Command {
	var o injectOptions
	cmd := &cobra.Command{
		Use:   "inject -f FILE...",
		Short: "Print Pods with the sidecars they get at creation, offline",
		Long:  injectHelp,
		Example: `  kubectl outrigger inject -f pod.yaml -f sidecarset.yaml
  kubectl get sidecarsets,namespaces -o yaml | kubectl outrigger inject -f pod.yaml -f - --explain`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return o.run(streams, decode) },
	}
	cmd.Flags().StringArrayVarP(&o.files, "filename", "f", nil, "file to read, - for standard input; may be repeated")
	cmd.Flags().StringVarP(&o.output, "output", "o", "yaml", "yaml or json")
	cmd.Flags().StringVarP(&o.namespace, "namespace", "n", "default", "namespace of Pods that name none")
	cmd.Flags().BoolVar(&o.explain, "explain", false, "say on standard error which SidecarSets a Pod gets, and why not the others")
	cmd.Flags().BoolVar(&o.sorted, "sort-containers", false, "order injected containers by name, as managers do with --feature-gates EnableSortSidecarContainerByName=true")
	return cmd
}

func (o injectOptions) run(streams Streams, decode Decode) error {
	if o.output != "yaml" && o.output != "json" {
		return fmt.Errorf("--output %q: must be yaml or json", o.output)
	}
	if len(o.files) == 0 {
		return errors.New("nothing to read: give at least one --filename")
	}
	documents, err := readAll(o.files, streams.In)
	if err != nil {
		return err
	}
	given, err := sort(documents, decode)
	if err != nil {
		return err
	}
	var done [][]byte
	for _, pod := range given.pods {
		changed, err := o.inject(streams, given, pod)
		if err != nil {
			return fmt.Errorf("%s: %w", pod.at, err)
		}
		done = append(done, changed)
	}
	return printAll(streams.Out, o.output, done)
}

func (o injectOptions) inject(streams Streams, given *input, pod document) ([]byte, error) {
	metadata := pod.value.Get("metadata")
	namespace := metadata.Get("namespace").Text()
	if namespace == "" {
		namespace = o.namespace
	}
	labels := textMap(metadata.Get("labels"))
	sets := given.index.Find(labels, namespace, given.namespaces[namespace])
	facts := inject.Facts{Sets: sets, SortByName: o.sorted, Balances: given.balancesOf(inject.Owner(metadata, namespace), sets)}
	result, err := inject.Pod(pod.value, facts)
	if err != nil {
		return nil, err
	}
	maps.Copy(facts.Balances, result.Balances)
	if o.explain {
		explain(streams, given, result, labels, namespace, metadata)
	}
	return apply(pod.value, result.Patch)
}

// explain says of every set whether the Pod gets it, and why not.
func explain(streams Streams, given *input, result inject.Result, labels map[string]string, namespace string, metadata jsonview.Value) {
	name := metadata.Get("name").Text()
	if name == "" {
		name = metadata.Get("generateName").Text() + "?"
	}
	injected := map[string]bool{}
	for _, set := range result.Sets {
		injected[set] = true
	}
	_, _ = fmt.Fprintf(streams.Err, "pod %s/%s:\n", namespace, name)
	for _, set := range given.sets {
		verdict := "injected"
		if older := result.Older[set.Name]; older != "" {
			verdict = "injected: revision " + older + ", as injectionStrategy.revision asks"
		}
		if !injected[set.Name] {
			verdict = "not injected: " + whyNot(set, result, labels, namespace, given.namespaces[namespace])
		}
		_, _ = fmt.Fprintf(streams.Err, "  SidecarSet %s: %s\n", set.Name, verdict)
	}
}

func whyNot(set *inject.Set, result inject.Result, labels map[string]string, namespace string, namespaceLabels map[string]string) string {
	if why := set.Scope.Why(labels, namespace, namespaceLabels); why != "" {
		return why
	}
	if set.Paused {
		return "its injectionStrategy.paused is true"
	}
	for _, r := range result.Replaced {
		if r.Base == set.Name {
			return "the pod gets its canary " + r.Canary
		}
	}
	return "the pod is finished or being deleted"
}

// apply changes the document as the API server would.
func apply(doc, patch []byte) ([]byte, error) {
	if patch == nil {
		return doc, nil
	}
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, fmt.Errorf("read the patch: %w", err)
	}
	changed, err := operations.Apply(doc)
	if err != nil {
		return nil, fmt.Errorf("apply the patch: %w", err)
	}
	return changed, nil
}

// input is what the files hold.
type input struct {
	pods       []document
	sets       []*inject.Set // in the order of the files
	index      scope.Index[*inject.Set]
	namespaces map[string]map[string]string
	// revisions are by the name of their SidecarSet.
	revisions map[string][]revision.Kept
	// balances are by owner and SidecarSet. Pods share revisions in the order of the files.
	balances map[string]map[string]share.Balance

	decode Decode
	seen   map[string]string // where each SidecarSet stands
	given  []given           // the SidecarSets themselves
}

type given struct {
	at  string
	set *v1beta1.SidecarSet
}

// balancesOf returns an owner's balances; what is written into them is kept.
func (g *input) balancesOf(owner string, sets []*inject.Set) map[string]share.Balance {
	all := g.balances[owner]
	if all == nil {
		all = map[string]share.Balance{}
		g.balances[owner] = all
	}
	for _, set := range sets {
		if _, known := all[set.Name]; !known && set.Shared() {
			all[set.Name] = share.Start(set.Name, owner)
		}
	}
	return all
}
