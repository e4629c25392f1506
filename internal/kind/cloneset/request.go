package cloneset

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

const (
	// requestTTL is how long a request is kept when it is over: longer than the longest wait between two tries, since the
	// last one says how many there were. The CloneSet needs it for as long as it takes to see how it ended.
	requestTTL = 10 * time.Minute
	// requestDeadline ends a request whose node agent is gone for good in the middle of it, so that this is said and another
	// one made. It is long, since a request is not over before the new containers are ready.
	requestDeadline = time.Hour
	// firstRetry is how long after a request that failed the next one is made; it doubles up to longestRetry.
	firstRetry, longestRetry = 10 * time.Second, 5 * time.Minute
	// longestPodName leaves room in a request's name for a number and, of this length, a hash.
	longestPodName, hashLength = 220, 17
)

// Request is a ContainerRecreateRequest of a CloneSet: containers of one Pod start anew for their new environment.
type Request struct {
	// Unit has no UID while the request is not seen.
	Unit plan.Unit
	// Version is the resourceVersion this record was made from.
	Version string
	// Pod is the UID of the Pod that it is for; empty while the request is not seen.
	Pod string
	// Phase is how far it is; Ended when it was over, in seconds since 1970, 0 if it is not.
	Phase string
	Ended int64
	// Succeeded tells that all its containers have started anew. If not, Left are those that have not, and Why says why.
	Succeeded bool
	Left      []string
	Why       string
	// Before are the IDs of the containers that ran when it was made, and that were stopped for it.
	Before  []string
	Leaving bool

	// Born tells that we have made it and not seen it yet, Unseen that we have deleted it and not seen that yet. Left to
	// the caller.
	Born, Unseen bool
	// Refused is what the API server said when it refused to make or delete it, while we wait before the next try. Left to
	// the caller.
	Refused string
}

// RequestOf makes the record of a request.
func RequestOf(r *v1beta1.ContainerRecreateRequest) Request {
	q := Request{
		Unit: plan.Unit{Namespace: r.Namespace, Name: r.Name, UID: string(r.UID)}, Version: r.ResourceVersion,
		Pod:   r.Labels[v1beta1.ContainerRecreateRequestPodUIDLabel],
		Phase: string(r.Status.Phase), Why: r.Status.Message,
		Succeeded: meta.IsStatusConditionTrue(r.Status.Conditions, v1beta1.ContainerRecreateRequestSucceededCondition),
		Leaving:   r.DeletionTimestamp != nil,
	}
	if r.Status.CompletionTime != nil {
		q.Ended = r.Status.CompletionTime.Unix()
	}
	for _, s := range r.Status.ContainerRecreateStates {
		q.Before = append(q.Before, s.ContainerID)
	}
	for _, c := range r.Spec.Containers {
		if c.StatusContext != nil {
			q.Before = append(q.Before, c.StatusContext.ContainerID)
		}
		anew := func(s v1beta1.ContainerRecreateRequestContainerRecreateState) bool {
			return s.Name == c.Name && s.Phase == v1beta1.ContainerRecreateRequestSucceeded
		}
		if !slices.ContainsFunc(r.Status.ContainerRecreateStates, anew) {
			q.Left = append(q.Left, c.Name)
		}
	}
	return q
}

// after is how long after its end the next try is made.
func (q *Request) after() time.Duration {
	_, try := split(q.Unit.Name)
	return min(longestRetry, firstRetry<<min(max(try, 1)-1, 10))
}

// requestsFor is what the names of all requests for a Pod's renewal begin with. A name says for which one it is, so that
// whoever decides on the same Pod makes the same request.
func requestsFor(p *Pod) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(p.renewal())) // it never fails
	return fmt.Sprintf("%s-%016x", podIn(p.Unit.Name), h.Sum64())
}

// podIn is what a request's name says of its Pod's.
func podIn(pod string) string { return pod[:min(len(pod), longestPodName)] }

// renewal tells the Pod's renewal from all others.
func (p *Pod) renewal() string { return p.Progress.Renewal.Of(p.Unit.UID) }

// split divides a request's name into what requestsFor returns and the number of the try.
func split(name string) (renewal string, try int) {
	at := strings.LastIndexByte(name, '-')
	if at < 0 {
		return name, 0
	}
	try, err := strconv.Atoi(name[at+1:])
	if err != nil {
		return name, 0
	}
	return name[:at], try
}

// request is what is sent to have containers of a Pod start anew: whatever runs when the node agent comes to it, with
// hooks and the Pod's grace period. The Pod gets no traffic already.
func (s *Set) request(name string, p *Pod, containers []string) []byte {
	ttl, deadline := int32(requestTTL.Seconds()), int64(requestDeadline.Seconds())
	r := v1beta1.ContainerRecreateRequest{
		TypeMeta: metav1.TypeMeta{APIVersion: v1beta1.GroupVersion().String(), Kind: "ContainerRecreateRequest"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.Unit.Namespace, Name: name,
			Annotations: map[string]string{v1beta1.ContainerRecreateRequestRenewalAnnotation: p.renewal()},
		},
		Spec: v1beta1.ContainerRecreateRequestSpec{
			PodName: p.Unit.Name, TTLSecondsAfterFinished: &ttl, ActiveDeadlineSeconds: &deadline,
			Strategy: &v1beta1.ContainerRecreateRequestStrategy{
				FailurePolicy: v1beta1.ContainerRecreateRequestFailurePolicyIgnore, ForceRecreate: true,
			},
		},
	}
	if err := json.Unmarshal(s.owned("[]"), &r.OwnerReferences); err != nil {
		panic("read our own owner reference: " + err.Error())
	}
	for _, container := range containers {
		r.Spec.Containers = append(r.Spec.Containers, v1beta1.ContainerRecreateRequestContainer{Name: container})
	}
	object, err := json.Marshal(r)
	if err != nil {
		panic("marshal a request: " + err.Error())
	}
	return object
}
