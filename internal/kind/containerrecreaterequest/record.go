package containerrecreaterequest

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Order is what the node agent is told of a request: everything that Next asks of it.
func Order(r *v1beta1.ContainerRecreateRequest) v1beta1.RecreateOrder {
	o := v1beta1.RecreateOrder{
		UID: string(r.UID), Namespace: r.Namespace, Name: r.Name, CreationTime: r.CreationTimestamp,
		PodName: r.Spec.PodName, PodUID: r.Labels[v1beta1.ContainerRecreateRequestPodUIDLabel],
		Containers: make([]v1beta1.ContainerRecreateRequestContainer, len(r.Spec.Containers)), Strategy: strategyOf(r),
		ContainerStatusSnapshot: r.Status.ContainerStatusSnapshot,
	}
	o.Strategy.FailurePolicy = cmp.Or(o.Strategy.FailurePolicy, v1beta1.ContainerRecreateRequestFailurePolicyFail)
	for i, c := range r.Spec.Containers {
		c.Ports = namedBy(c.PreStop, c.Ports)
		o.Containers[i] = c
	}
	if at, limited := deadline(r); limited {
		o.Deadline = &metav1.Time{Time: at}
	}
	if since, is := drainedSince(&r.Status); is {
		o.DrainedSince = &metav1.Time{Time: since}
	}
	if r.Status.Phase == v1beta1.ContainerRecreateRequestRecreating {
		o.Begun = r.Status.ContainerRecreateStates
	}
	return o
}

// sizeOf is how many bytes an order takes.
func sizeOf(o v1beta1.RecreateOrder) int {
	return len(mustMarshal(o))
}

func mustMarshal(object any) []byte {
	data, err := json.Marshal(object)
	if err != nil {
		panic(err) // our own types can be written
	}
	return data
}

// namedBy are the ports that a hook names.
func namedBy(hook *corev1.LifecycleHandler, ports []corev1.ContainerPort) []corev1.ContainerPort {
	if hook == nil || hook.HTTPGet == nil || hook.HTTPGet.Port.Type != intstr.String {
		return nil
	}
	i := slices.IndexFunc(ports, func(p corev1.ContainerPort) bool { return p.Name == hook.HTTPGet.Port.StrVal })
	if i < 0 {
		return nil
	}
	return ports[i : i+1 : i+1]
}

// Ordered is a request as its node agent knows it: what it was told, and what it reported; nil if it has not yet.
func Ordered(o *v1beta1.RecreateOrder, report *v1beta1.RecreateReport) *v1beta1.ContainerRecreateRequest {
	r := &v1beta1.ContainerRecreateRequest{ObjectMeta: metav1.ObjectMeta{
		Namespace: o.Namespace, Name: o.Name, UID: types.UID(o.UID), CreationTimestamp: o.CreationTime,
		Labels: map[string]string{v1beta1.ContainerRecreateRequestPodUIDLabel: o.PodUID},
	}}
	r.Spec = v1beta1.ContainerRecreateRequestSpec{PodName: o.PodName, Containers: o.Containers, Strategy: &o.Strategy}
	if o.Deadline != nil {
		r.Spec.ActiveDeadlineSeconds = ptr.To(int64(o.Deadline.Sub(o.CreationTime.Time) / time.Second))
	}
	if len(o.Begun) > 0 {
		r.Status.Phase, r.Status.ContainerRecreateStates = v1beta1.ContainerRecreateRequestRecreating, slices.Clone(o.Begun)
	}
	r.Status.ContainerStatusSnapshot = o.ContainerStatusSnapshot
	if o.DrainedSince != nil {
		r.Status.Conditions = []metav1.Condition{{
			Type: v1beta1.ContainerRecreateRequestPreRecreateGrace, Status: metav1.ConditionTrue, LastTransitionTime: *o.DrainedSince,
		}}
	}
	r.Status = Merged(r, report)
	return r
}

// Report is what the node agent reports of a request with a UID.
func Report(uid string, s v1beta1.ContainerRecreateRequestStatus) v1beta1.RecreateReport {
	report := v1beta1.RecreateReport{
		UID: uid, Phase: s.Phase, CompletionTime: s.CompletionTime, Message: s.Message,
		ContainerRecreateStates: slices.Clone(s.ContainerRecreateStates),
	}
	if c := meta.FindStatusCondition(s.Conditions, v1beta1.ContainerRecreateRequestSucceededCondition); c != nil {
		report.Reason = c.Reason
	}
	for i := range report.ContainerRecreateStates { // all nodes' messages have to fit into one object
		st := &report.ContainerRecreateStates[i]
		st.Message = beginning(st.Message, max(leastMessage, longestMessage/len(report.ContainerRecreateStates)))
	}
	return report
}

// Merged is a request's status with what the node agent has reported; nil if it has not yet. What is completed stays as it
// is, and nothing goes back: a report that is older than the status changes nothing that was told later. Of containers that
// are not the request's nothing is believed.
func Merged(r *v1beta1.ContainerRecreateRequest, report *v1beta1.RecreateReport) v1beta1.ContainerRecreateRequestStatus {
	s := *r.Status.DeepCopy()
	if report == nil || s.CompletionTime != nil {
		return s
	}
	if s.Phase != v1beta1.ContainerRecreateRequestRecreating {
		s.Phase = report.Phase
	}
	s.Message = report.Message // not any more that it waits to be told
	told := v1beta1.ContainerRecreateRequestStatus{ContainerRecreateStates: report.ContainerRecreateStates}
	for i := range r.Spec.Containers {
		have, news := stateOf(&s, r.Spec.Containers[i].Name), stateOf(&told, r.Spec.Containers[i].Name)
		switch {
		case news == nil:
		case have == nil:
			s.ContainerRecreateStates = append(s.ContainerRecreateStates, *news.DeepCopy())
		case progress(news) >= progress(have):
			*have = *news.DeepCopy()
		}
	}
	if report.CompletionTime != nil {
		complete(&s, report.CompletionTime.Time, cmp.Or(report.Reason, ContainerFailed), report.Message)
	}
	return s
}

// progress orders the states that a container comes through.
func progress(st *v1beta1.ContainerRecreateRequestContainerRecreateState) int {
	switch {
	case final(st.Phase):
		return 4
	case st.IsKilled:
		return 3
	case st.ContainerID != "":
		return 2
	case st.Phase == v1beta1.ContainerRecreateRequestRecreating:
		return 1
	}
	return 0
}

// Open tells whether something is to be done for a request still.
func Open(r *v1beta1.ContainerRecreateRequest) bool {
	return r.Status.CompletionTime == nil && r.DeletionTimestamp == nil
}

// Silent tells whether the node agent was told of a request, had its time and has not taken it up, as far as its status and a report
// tell. Such an order is taken back, and once it is, nothing can come of it.
func Silent(r *v1beta1.ContainerRecreateRequest, o *v1beta1.RecreateOrder, report *v1beta1.RecreateReport, now time.Time) bool {
	return Open(r) && r.Status.Phase == "" && report == nil && o != nil && (TakenBack(o) || !now.Before(untilSilent(o)))
}

// untilSilent is until when the agent may take up what it was told.
func untilSilent(o *v1beta1.RecreateOrder) time.Time {
	return ptr.Deref(o.ToldTime, o.CreationTime).Add(AgentWithin)
}

// TakenBack tells whether the agent begins nothing any more for an order: its deadline has passed, whatever its clock says.
func TakenBack(o *v1beta1.RecreateOrder) bool {
	return o.Deadline != nil && o.Deadline.Before(&o.CreationTime)
}

// takenBack is the deadline of such an order.
func takenBack() *metav1.Time { return &metav1.Time{Time: time.Unix(0, 0).UTC()} }

// Urgent tells whether a status is to be written at once: where only states of containers differ, others may join.
func Urgent(is, wanted v1beta1.ContainerRecreateRequestStatus) bool {
	is.ContainerRecreateStates, wanted.ContainerRecreateStates = nil, nil
	return !same(is, wanted)
}
