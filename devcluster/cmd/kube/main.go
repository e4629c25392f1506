// Command kube is Kubernetes in one binary: etcd, kube-apiserver,
// kube-controller-manager, kube-scheduler, kubelet and kubectl, unchanged from
// upstream, picked by the first argument or by the name the binary is called
// with (so that links named kube-apiserver and etcd serve as the assets of
// controller-runtime's envtest).
//
// It is the heavy half of devcluster: minutes to compile, built once and
// cached by the launcher in cmd/devcluster, which must never import what is
// imported here.
package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	_ "time/tzdata" // CronJobs name time zones, and the machine may not have them

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client-go metrics, as upstream's own mains register them
	_ "k8s.io/component-base/metrics/prometheus/version"  // build_info metric
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// component runs one upstream program with its arguments (without the name)
// and returns the exit code.
type component func(args []string) int

func components() map[string]component {
	return map[string]component{
		"etcd":                    runEtcd,
		"kube-apiserver":          runCobra(apiserver.NewAPIServerCommand),
		"kube-controller-manager": runCobra(controllermanager.NewControllerManagerCommand),
		"kube-scheduler":          runCobra(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
		"kubelet":                 runCobra(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
		"kubectl":                 runCobra(kubectl.NewDefaultKubectlCommand), // so that a machine without one can look inside
	}
}

// runEtcd ends the process itself when etcd fails to start or is told to stop
// by a signal: that is how etcdmain is written.
func runEtcd(args []string) int {
	etcdmain.Main(append([]string{"etcd"}, args...))
	return 0
}

func runCobra(newCommand func() *cobra.Command) component {
	return func(args []string) int {
		c := newCommand()
		c.SetArgs(args)
		return cli.Run(c)
	}
}

// pick finds the component and its arguments in argv; "" when argv names none.
func pick(argv []string, known []string) (name string, args []string) {
	if base := filepath.Base(argv[0]); slices.Contains(known, base) {
		return base, argv[1:]
	}
	if len(argv) > 1 && slices.Contains(known, argv[1]) {
		return argv[1], argv[2:]
	}
	return "", nil
}

func main() {
	os.Exit(run(os.Args, os.Stderr))
}

func run(argv []string, stderr io.Writer) int {
	all := components()
	known := slices.Sorted(maps.Keys(all))
	name, args := pick(argv, known)
	if name == "" {
		fmt.Fprintf(stderr, "usage: kube %s [flags]\n", strings.Join(known, "|"))
		return 2
	}
	// Upstream code (klog, verflag) reads the program name from os.Args.
	os.Args = append([]string{name}, args...)
	return all[name](args)
}
