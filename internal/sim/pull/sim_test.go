package pull

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/imagepulljob"
	"github.com/outrigger-project/outrigger/internal/kind/nodeimage"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// seeds is a share of what the bigger simulators run.
func seeds() uint64 {
	n, err := strconv.Atoi(os.Getenv("SIM_SEEDS"))
	if err != nil {
		n = 500
	}
	return uint64(max(100, n/10))
}

func TestWorlds_nothingIsWrong(t *testing.T) {
	if one, err := strconv.ParseUint(os.Getenv("SIM_SEED"), 10, 64); err == nil {
		t.Log(Run(Product(), one))
		return
	}
	for seed := range seeds() {
		if wrongs := Run(Product(), seed); len(wrongs) > 0 {
			t.Fatalf("SIM_SEED=%d:\n%s", seed, strings.Join(wrongs, "\n"))
		}
	}
}

func TestWorlds_sameSeedSameEnd(t *testing.T) {
	for seed := range uint64(5) {
		if a, b := Run(Product(), seed), Run(Product(), seed); !slices.Equal(a, b) {
			t.Errorf("seed %d: %v, then %v", seed, a, b)
		}
	}
}

// observed is the product with an observation that was tampered with.
func observed(tamper func(*imagepulljob.Observed)) Subject {
	s := Product()
	s.Plan = func(o imagepulljob.Observed) plan.Plan {
		o.Nodes = slices.Clone(o.Nodes)
		tamper(&o)
		return imagepulljob.Plan(o)
	}
	return s
}

func told(tamper func(*imagepulljob.Observed)) Subject {
	s := Product()
	s.Status = func(o imagepulljob.Observed) v1beta1.ImagePullJobStatus {
		o.Nodes = slices.Clone(o.Nodes)
		tamper(&o)
		return imagepulljob.Status(o)
	}
	return s
}

func nodeOf(tamper func(*imagepulljob.Node)) Subject {
	s := Product()
	s.Observe = func(job *v1beta1.ImagePullJob, f imagepulljob.Facts) (imagepulljob.Observed, error) {
		o, err := imagepulljob.Observe(job, f)
		for i := range o.Nodes {
			tamper(&o.Nodes[i])
		}
		return o, err
	}
	return s
}

func mutants() map[string]Subject {
	deaf, eager, patient, hasty := Product(), Product(), Product(), Product()
	deaf.Marked = false
	eager.Pulls = func(ni *v1beta1.NodeImage) []nodeimage.Pull { // what is finished is pulled again
		blank := ni.DeepCopy()
		blank.Status = v1beta1.NodeImageStatus{}
		return nodeimage.Pulls(blank)
	}
	patient.NodePlan = func(o nodeimage.Observed) plan.Plan { // nothing is forgotten, nobody fails
		p := nodeimage.Plan(o)
		p.Steps = slices.DeleteFunc(p.Steps, func(s plan.Step) bool { return s.Verb != plan.CreateObject })
		return p
	}
	hasty.NodePlan = func(o nodeimage.Observed) plan.Plan { // everything is always late
		o.Now = o.Now.Add(time.Hour)
		return nodeimage.Plan(o)
	}
	return map[string]Subject{
		"writes that are not seen yet are forgotten": deaf,
		"finished pulls are pulled again":            eager,
		"a node that is silent never fails":          patient,
		"a node fails before its time":               hasty,
		"one more than parallelism":                  observed(func(o *imagepulljob.Observed) { o.Parallelism++ }),
		"a job that waits for ever":                  observed(func(o *imagepulljob.Observed) { o.Parallelism = 0 }),
		"active nodes do not count":                  observed(func(o *imagepulljob.Observed) { o.Parallelism += active(o) }),
		"failed nodes are tried for ever":            nodeOf(func(n *imagepulljob.Node) { again(n, imagepulljob.Failed) }),
		"pulled nodes are told again":                nodeOf(func(n *imagepulljob.Node) { again(n, imagepulljob.Succeeded) }),
		"who was told has it":                        nodeOf(func(n *imagepulljob.Node) { done(n) }),
		"a push asks for the version that is there":  nodeOf(func(n *imagepulljob.Node) { n.Version = 0 }),
		"failures are told as successes":             told(func(o *imagepulljob.Observed) { praise(o) }),
		"the last node is forgotten":                 told(func(o *imagepulljob.Observed) { o.Nodes = o.Nodes[:max(0, len(o.Nodes)-1)] }),
		"nodes that went are waited for":             told(func(o *imagepulljob.Observed) { hope(o) }),
	}
}

func active(o *imagepulljob.Observed) (n int) {
	for i := range o.Nodes {
		if o.Nodes[i].State == imagepulljob.Active {
			n++
		}
	}
	return n
}

func again(n *imagepulljob.Node, state imagepulljob.State) {
	if n.State == state {
		n.State = imagepulljob.Pending
	}
}

func done(n *imagepulljob.Node) {
	if n.State == imagepulljob.Active {
		n.State = imagepulljob.Succeeded
	}
}

func praise(o *imagepulljob.Observed) {
	for i := range o.Nodes {
		if o.Nodes[i].State == imagepulljob.Failed {
			o.Nodes[i].State = imagepulljob.Succeeded
		}
	}
}

func hope(o *imagepulljob.Observed) {
	for i := range o.Nodes {
		o.Nodes[i].Lost = false
	}
}

// TestMutants_areCaught: what is wrong on purpose must be found.
func TestMutants_areCaught(t *testing.T) {
	for name, subject := range mutants() {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(300) {
				if wrongs := Run(subject, seed); len(wrongs) > 0 {
					t.Logf("seed %d: %s", seed, wrongs[0])
					return
				}
			}
			t.Error("it was not found")
		})
	}
}
