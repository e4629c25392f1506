package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/outrigger-project/outrigger/internal/cli/why"
)

const whyHelp = `Say why a Pod has the sidecars it has and is or is not upgraded, or where a SidecarSet's rollout stands.

Of a Pod: which SidecarSets match it and why the others do not, which version of each it has, what an upgrade
will do to it, what holds it now, and whether kubelet has carried out the last change. Of a SidecarSet: how many
Pods are updated, what is next, and what holds the others. Of a CloneSet: the same, and how the Pods of older versions
will be updated. Of an ImagePullJob: which nodes pull, which wait for what, which have failed and why. Of a
PodProbeMarker: which Pods are probed, what the probes find, and why other Pods are not probed. Of a
ContainerRecreateRequest: how far each container is, and what the request waits for.

The answer is made by the function that the manager decides with, from what the API server has now; nothing is
written. The manager's own memory of its last writes is not visible here, and neither are its feature gates. The
rights to get the object and to list what it is decided on (SidecarSets; nodes and NodeImages) are needed; what other
Pods and namespaces tell is left out, and said so, where they may not be read.`

type whyOptions struct {
	rules     *clientcmd.ClientConfigLoadingRules
	overrides clientcmd.ConfigOverrides
	output    string
	set       string
	all       bool
}

func newWhy(streams Streams) *cobra.Command {
	o := &whyOptions{rules: clientcmd.NewDefaultClientConfigLoadingRules()}
	cmd := &cobra.Command{
		Use:   "why pod/NAME | sidecarset/NAME | cloneset/NAME | imagepulljob/NAME | podprobemarker/NAME | containerrecreaterequest/NAME",
		Short: "Say why a Pod has the sidecars it has, and what holds an update",
		Long:  whyHelp,
		Example: `  kubectl outrigger why pod/web-0 -n shop
  kubectl outrigger why pod/web-0 -n shop --sidecarset logtail
  kubectl outrigger why sidecarset/logtail -o json
  kubectl outrigger why cloneset/web -n shop
  kubectl outrigger why imagepulljob/next-version -n shop
  kubectl outrigger why podprobemarker/idle -n games
  kubectl outrigger why crr/restart-web -n shop`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), streams, args[0]) },
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "json or yaml; empty: text")
	cmd.Flags().StringVar(&o.set, "sidecarset", "", "tell only about this SidecarSet")
	cmd.Flags().BoolVar(&o.all, "all", false, "list every SidecarSet that does not match, not only the nearest")
	cmd.Flags().StringVar(&o.rules.ExplicitPath, "kubeconfig", "", "path of the kubeconfig; empty: as kubectl finds it")
	clientcmd.BindOverrideFlags(&o.overrides, cmd.Flags(), clientcmd.RecommendedConfigOverrideFlags(""))
	return cmd
}

func (o *whyOptions) run(ctx context.Context, streams Streams, what string) error {
	if o.output != "" && o.output != "json" && o.output != "yaml" {
		return fmt.Errorf("--output %q: must be json or yaml", o.output)
	}
	report, name, err := o.asked(what)
	if err != nil {
		return err
	}
	r, err := newReader(clientcmd.NewNonInteractiveDeferredLoadingClientConfig(o.rules, &o.overrides))
	if err != nil {
		return err
	}
	told, err := report(ctx, r, name)
	if err != nil {
		return err
	}
	if o.output == "" {
		_, err = fmt.Fprint(streams.Out, told)
		return err
	}
	data, err := json.Marshal(told)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return printAll(streams.Out, o.output, [][]byte{data})
}

// report makes the report on one object.
type report func(ctx context.Context, r *reader, name string) (fmt.Stringer, error)

// asked returns the report that is asked for, and of which object.
func (o *whyOptions) asked(what string) (report, string, error) {
	kind, name, _ := strings.Cut(what, "/")
	if name == "" {
		kind = ""
	}
	if o.set != "" && kind != "" && !slices.Contains([]string{"pod", "pods", "po"}, kind) {
		return nil, "", errors.New("--sidecarset goes with pod/NAME")
	}
	switch kind {
	case "pod", "pods", "po":
		return o.pod, name, nil
	case "sidecarset", "sidecarsets":
		return o.sidecarSet, name, nil
	case "cloneset", "clonesets", "clone":
		return cloneSet, name, nil
	case "imagepulljob", "imagepulljobs":
		return imagePullJob, name, nil
	case "podprobemarker", "podprobemarkers":
		return podProbeMarker, name, nil
	case "containerrecreaterequest", "containerrecreaterequests", "crr":
		return recreation, name, nil
	}
	return nil, "", fmt.Errorf("%q: must be pod/NAME, sidecarset/NAME, cloneset/NAME, imagepulljob/NAME, podprobemarker/NAME or containerrecreaterequest/NAME", what)
}

func (o *whyOptions) pod(ctx context.Context, r *reader, name string) (fmt.Stringer, error) {
	pod, err := r.pod(ctx, name)
	if err != nil {
		return nil, err
	}
	facts := why.Facts{Now: time.Now()}
	if facts.Sets, err = r.sets(ctx); err != nil {
		return nil, err
	}
	injected := why.Injected(pod)
	if o.set != "" {
		if err := known(o.set, facts.Sets, injected); err != nil {
			return nil, err
		}
		injected = []string{o.set}
	}
	facts.CanResize = r.resize(&facts.Notes)
	r.namespaces(ctx, &facts, pod.Namespace, injected)
	r.fleets(ctx, &facts, injected)
	return why.OfPod(facts, pod, o.set, o.all), nil
}

func (o *whyOptions) sidecarSet(ctx context.Context, r *reader, name string) (fmt.Stringer, error) {
	facts := why.Facts{Now: time.Now()}
	var err error
	if facts.Sets, err = r.sets(ctx); err != nil {
		return nil, err
	}
	if err := known(name, facts.Sets, nil); err != nil {
		return nil, err
	}
	facts.CanResize = r.resize(&facts.Notes)
	r.namespaces(ctx, &facts, "", []string{name})
	r.fleets(ctx, &facts, []string{name})
	report, err := why.OfSet(facts, facts.Sets[name])
	return report, err
}

func cloneSet(ctx context.Context, r *reader, name string) (fmt.Stringer, error) {
	facts := why.CloneFacts{Now: time.Now()}
	if err := r.clones(ctx, name, &facts); err != nil {
		return nil, err
	}
	return why.OfCloneSet(facts)
}

func imagePullJob(ctx context.Context, r *reader, name string) (fmt.Stringer, error) {
	facts, err := r.pullJob(ctx, name)
	if err != nil {
		return nil, err
	}
	facts.Now = time.Now()
	return why.OfImagePullJob(facts)
}

func podProbeMarker(ctx context.Context, r *reader, name string) (fmt.Stringer, error) {
	facts, err := r.marker(ctx, name)
	if err != nil {
		return nil, err
	}
	facts.Now = time.Now()
	return why.OfPodProbeMarker(facts)
}

func recreation(ctx context.Context, r *reader, name string) (fmt.Stringer, error) {
	facts, err := r.recreation(ctx, name)
	if err != nil {
		return nil, err
	}
	facts.Now = time.Now()
	return why.OfRecreateRequest(facts), nil
}
