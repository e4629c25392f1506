package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/outrigger-project/outrigger/devcluster/internal/behaviour"
	"github.com/outrigger-project/outrigger/devcluster/internal/clusterdir"
	"github.com/outrigger-project/outrigger/devcluster/internal/component"
	"github.com/outrigger-project/outrigger/devcluster/internal/supervisor"
	"github.com/outrigger-project/outrigger/devcluster/internal/wire"
)

// kubeletPrefix of the flags of `up` that are passed on to the simulated kubelet.
const kubeletPrefix = "kubelet-"

// upFlags are the flags of `up`.
type upFlags struct {
	buildFlags
	nodes         int
	realNodes     int
	ephemeral     bool
	foreground    bool
	fsync         bool
	verbosity     int
	timeout       time.Duration
	apiServerArgs []string
	kubelet       kubeletFlags
}

// remembered are the flags of which the next `up` on the same folder takes the
// values, unless it is given others: they describe the cluster.
func remembered(flags *pflag.FlagSet) []*pflag.Flag {
	var kept []*pflag.Flag
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "nodes" || f.Name == "real-nodes" || f.Name == "fsync" || f.Name == "verbosity" || strings.HasPrefix(f.Name, kubeletPrefix) {
			kept = append(kept, f)
		}
	})
	return kept
}

func (a *app) upCommand() *cobra.Command {
	f := &upFlags{}
	c := &cobra.Command{
		Use: "up", Short: "Start the cluster and return when it is usable", Args: cobra.NoArgs,
		Long: `up starts the cluster in the background and returns when its nodes are Ready and
pods can be created. When it runs already, up says so and changes nothing.

The first up builds Kubernetes, which takes 5 to 8 minutes on two cores; later
ones take seconds. Objects, certificates and tokens are kept in the folder, and
so are --nodes, --real-nodes, --fsync, --verbosity and all --kubelet-* flags.`,
		PreRunE: func(*cobra.Command, []string) error { return f.check() },
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.up(cmd.Context(), f, cmd.Flags()) },
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.IntVar(&f.nodes, "nodes", 1, "number of simulated nodes")
	flags.IntVar(&f.realNodes, "real-nodes", 0, "number of real nodes, with a kubelet and containerd each; needs root")
	flags.BoolVar(&f.ephemeral, "ephemeral", false, "remove all data when the cluster stops")
	flags.BoolVar(&f.foreground, "foreground", false, "stay in the foreground; Ctrl-C stops the cluster")
	flags.BoolVar(&f.fsync, "fsync", false, "let etcd wait for the disk: data then survives a crash of the machine, not only of processes")
	flags.IntVar(&f.verbosity, "verbosity", 0, "log verbosity of the Kubernetes components")
	flags.DurationVar(&f.timeout, "timeout", 2*time.Minute, "how long the start may take, not counting the build")
	flags.StringArrayVar(&f.apiServerArgs, "apiserver-arg", nil, "further flag of kube-apiserver, for example --apiserver-arg=--feature-gates=X=true; may be repeated")
	f.add(flags)
	f.kubelet.add(flags, kubeletPrefix)
	return c
}

func (a *app) up(ctx context.Context, f *upFlags, flags *pflag.FlagSet) error {
	dir, err := a.dir()
	if err != nil {
		return err
	}
	if running, err := a.alreadyUp(ctx, dir); running || err != nil {
		return err
	}
	if err := dir.Create(); err != nil {
		return err
	}
	lock, err := dir.Lock(ctx)
	if errors.Is(err, clusterdir.ErrLocked) {
		return fmt.Errorf("%w: another `devcluster up` or `down` is at work on %s", err, dir)
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := clean(dir); err != nil {
		return err
	}
	if err := recallFlags(dir, flags); err != nil {
		return err
	}
	cfg, err := f.config(ctx, dir, a.out)
	if err != nil {
		return err
	}
	if f.foreground {
		return a.superviseHere(ctx, cfg)
	}
	return a.superviseDetached(ctx, cfg, lock)
}

// alreadyUp tells whether the cluster runs; one that is just starting or
// stopping is an error.
func (a *app) alreadyUp(ctx context.Context, dir clusterdir.Dir) (bool, error) {
	st, err := wire.Dial(dir.Socket()).Status(ctx)
	if errors.Is(err, wire.ErrNotRunning) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if st.State != wire.Running {
		return false, fmt.Errorf("the cluster in %s is %s; try again when that is over", dir, st.State)
	}
	a.say("The cluster is already running (nothing was changed).")
	a.usage(st)
	return true, nil
}

// usage tells how to use a running cluster.
func (a *app) usage(st wire.Status) {
	a.say("\n  export KUBECONFIG=%s\n  kubectl get nodes", st.Kubeconfig)
}

// recallFlags gives the remembered flags their values of the last `up`, unless
// the user gave others, and remembers the result.
func recallFlags(dir clusterdir.Dir, flags *pflag.FlagSet) error {
	saved, err := dir.ReadSettings()
	if err != nil {
		return err
	}
	keep := map[string]string{}
	for _, f := range remembered(flags) {
		if value, ok := saved[f.Name]; ok && !f.Changed {
			if err := flags.Set(f.Name, value); err != nil {
				return fmt.Errorf("--%s of the last up: %w", f.Name, err)
			}
		}
		if f.Changed { // Set above counts as a change
			keep[f.Name] = f.Value.String()
		}
	}
	return dir.WriteSettings(keep)
}

// config gathers what the supervisor needs; it builds the heavy binary.
func (f *upFlags) config(ctx context.Context, dir clusterdir.Dir, out *os.File) (supervisor.Config, error) {
	kube, err := f.resolve(ctx, out)
	if err != nil {
		return supervisor.Config{}, err
	}
	if kube.Built {
		fmt.Fprintf(out, "Built in %s\n", kube.Took.Round(time.Second))
	}
	self, err := os.Executable()
	if err != nil {
		return supervisor.Config{}, fmt.Errorf("find this program: %w", err)
	}
	ports, err := dir.ChoosePorts()
	if err != nil {
		return supervisor.Config{}, err
	}
	kubeletArgs := append(f.kubelet.args(), "--version="+kube.Version)
	cfg := supervisor.Config{
		Cluster: component.Config{
			Dir: dir, Ports: ports, Nodes: f.nodes, Fsync: f.fsync, Verbosity: f.verbosity,
			KubeletArgs: kubeletArgs, APIServerArgs: f.apiServerArgs,
		},
		KubeBinary: kube.Path, SelfBinary: self, Version: kube.Version,
		Ephemeral: f.ephemeral, BootTimeout: f.timeout,
	}
	return cfg, f.addRealNodes(ctx, &cfg, out)
}

// kubeletFlags are the flags of the simulated kubelet that `up` and `kubelet` share.
type kubeletFlags struct {
	behaviour behaviour.Settings
	events    bool
	workers   int
	prefix    string
	all       *pflag.FlagSet
	shared    []string
}

// add adds the flags, their names behind prefix.
func (k *kubeletFlags) add(flags *pflag.FlagSet, prefix string) {
	k.behaviour = behaviour.Defaults()
	k.all, k.prefix = flags, prefix
	own := pflag.NewFlagSet("kubelet", pflag.ContinueOnError)
	own.SortFlags = false
	own.BoolVar(&k.events, prefix+"events", true, "write the events of a kubelet (at most 30 a second, the rest is dropped)")
	own.IntVar(&k.workers, prefix+"workers", 32, "number of pods the simulated kubelets handle at the same time")
	behaviour.AddFlags(own, prefix, &k.behaviour)
	own.VisitAll(func(f *pflag.Flag) { k.shared = append(k.shared, f.Name) })
	flags.AddFlagSet(own)
}

// args are the flags that were given, as arguments of `devcluster kubelet`.
func (k *kubeletFlags) args() []string {
	var args []string
	for _, name := range k.shared {
		if f := k.all.Lookup(name); f.Changed {
			args = append(args, fmt.Sprintf("--%s=%s", strings.TrimPrefix(name, k.prefix), f.Value))
		}
	}
	return args
}
