package nodepodprobe

import (
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
	"github.com/outrigger-project/outrigger/internal/plan/probe"
)

// Plan says what is written for one node: its NodePodProbe, then its Pods. Holds are of Pods, in their order.
func Plan(o Observed) plan.Plan {
	if o.Gone {
		return o.end()
	}
	var p plan.Plan
	var wanted []v1beta1.PodProbe
	for i := range o.Pods {
		pod := &o.Pods[i]
		wants := o.wants(pod)
		if told := entry(pod, wants); len(told.Probes) > 0 {
			wanted = append(wanted, told)
		}
		for k := range wants {
			if wants[k].Hold != nil {
				p.Holds = append(p.Holds, *wants[k].Hold)
			}
		}
	}
	p.Steps = append(p.Steps, o.tell(wanted)...)
	for i := range o.Pods {
		step, hold := o.mark(&o.Pods[i])
		if step != nil {
			p.Steps = append(p.Steps, *step)
		}
		if hold != nil {
			p.Holds = append(p.Holds, *hold)
		}
	}
	return p
}

// end deletes what is there of a node that is gone.
func (o *Observed) end() (p plan.Plan) {
	if o.Object != nil && !o.Object.Leaving && !o.Object.Unseen {
		p.Steps = []plan.Step{{Verb: plan.DeleteOwner, Unit: o.unit(), Why: "node " + o.Node + " is gone"}}
	}
	return p
}

func (o *Observed) unit() plan.Unit {
	u := plan.Unit{Name: o.Node}
	if o.Object != nil {
		u.UID = o.Object.UID
	}
	return u
}

func (o *Observed) wants(pod *Pod) []probe.Want {
	return probe.Wanted(&pod.Pod, o.Markers[pod.Namespace], o.Virtual)
}

// entry is what the node is told of a Pod.
func entry(pod *Pod, wants []probe.Want) v1beta1.PodProbe {
	told := v1beta1.PodProbe{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID, IP: pod.IP}
	for i := range wants {
		if wants[i].Hold == nil {
			told.Probes = append(told.Probes, wants[i].Entry)
		}
	}
	return told
}

// tell brings the NodePodProbe to what is wanted. One is made when there is something to probe, and stays as long as its
// node.
func (o *Observed) tell(wanted []v1beta1.PodProbe) []plan.Step {
	switch {
	case o.Object == nil && len(wanted) == 0:
		return nil
	case o.Object == nil:
		return []plan.Step{{
			Verb: plan.CreateObject, Unit: o.unit(), Create: &plan.Creation{Object: object(o.Node, wanted)},
			Why: fmt.Sprintf("%d pods of the node are to be probed", len(wanted)),
		}}
	case o.Object.Leaving, o.Object.Unseen, equality.Semantic.DeepEqual(o.Object.Spec.PodProbes, wanted):
		return nil
	}
	return []plan.Step{{
		Verb: plan.UpdateOwner, Unit: o.unit(),
		Change: plan.Change{Spec: []plan.SpecChange{{Path: "/podProbes", From: list(o.Object.Spec.PodProbes), To: list(wanted)}}},
		Why:    why(o.Object.Spec.PodProbes, wanted),
	}}
}

func object(node string, wanted []v1beta1.PodProbe) []byte {
	return mustMarshal(&v1beta1.NodePodProbe{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1beta1.GroupVersion().String(), Kind: "NodePodProbe"},
		ObjectMeta: metav1.ObjectMeta{Name: node},
		Spec:       v1beta1.NodePodProbeSpec{PodProbes: wanted},
	})
}

func list(pods []v1beta1.PodProbe) []byte {
	if len(pods) == 0 {
		return nil
	}
	return mustMarshal(pods)
}

func mustMarshal(object any) []byte {
	data, err := json.Marshal(object)
	if err != nil {
		panic(err) // our own types can be written
	}
	return data
}

// why names the first Pod that is told differently.
func why(before, wanted []v1beta1.PodProbe) string {
	for i := range wanted {
		w := &wanted[i]
		at := slices.IndexFunc(before, func(b v1beta1.PodProbe) bool { return b.UID == w.UID })
		switch {
		case at < 0:
			return fmt.Sprintf("pod %s/%s is to be probed", w.Namespace, w.Name)
		case before[at].IP != w.IP:
			return fmt.Sprintf("the address of pod %s/%s is %s", w.Namespace, w.Name, w.IP)
		case !equality.Semantic.DeepEqual(before[at].Probes, w.Probes):
			return fmt.Sprintf("the probes of pod %s/%s changed", w.Namespace, w.Name)
		}
	}
	for i := range before {
		if b := &before[i]; !slices.ContainsFunc(wanted, func(w v1beta1.PodProbe) bool { return b.UID == w.UID }) {
			return fmt.Sprintf("pod %s/%s is not probed any more", b.Namespace, b.Name)
		}
	}
	return "the list is not in order"
}
