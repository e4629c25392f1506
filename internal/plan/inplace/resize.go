package inplace

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/internal/plan"
)

// ServesResize tells whether an API server that serves these resources of the core group can resize Pods.
func ServesResize(core *metav1.APIResourceList) bool {
	return slices.ContainsFunc(core.APIResources, func(r metav1.APIResource) bool {
		return r.Name == "pods/resize" && slices.Contains(r.Verbs, "patch")
	})
}

// Amounts are what a container requests of cpu and memory and may use of them at most.
type Amounts struct {
	// Of is what AmountPlaces name; empty where nothing is said.
	Of [4]string
	// Ours tells of each that we were the last to change it, by a resize.
	Ours [4]bool
	// Requests and Limits tell that the container has such a list, if only of other resources.
	Requests, Limits bool
}

// AmountPlace is a place in Amounts.
type AmountPlace struct{ List, Resource string }

// AmountPlaces are the places in Amounts, in order.
func AmountPlaces() [4]AmountPlace {
	return [4]AmountPlace{{"requests", "cpu"}, {"requests", "memory"}, {"limits", "cpu"}, {"limits", "memory"}}
}

// AmountsOf reads a container's resources; fields are those that we resized in its Pod.
func AmountsOf(c *corev1.Container, init bool, fields ResizedFields) Amounts {
	a := Amounts{Requests: len(c.Resources.Requests) > 0, Limits: len(c.Resources.Limits) > 0}
	if !a.Requests && !a.Limits {
		return a
	}
	places := AmountPlaces()
	for i, list := range [...]corev1.ResourceList{c.Resources.Requests, c.Resources.Requests, c.Resources.Limits, c.Resources.Limits} {
		if q, ok := list[corev1.ResourceName(places[i].Resource)]; ok {
			a.Of[i] = q.String()
		}
	}
	a.Ours = fields.Of(c.Name, init)
	return a
}

// Has tells whether there is the list that a place is in.
func (a *Amounts) Has(place int) bool { return place < 2 && a.Requests || place >= 2 && a.Limits }

// AnyOurs tells whether any of the amounts is ours.
func (a *Amounts) AnyOurs() bool { return a.Ours != [4]bool{} }

// class is what a Pod's QoS class would be if it had this container only.
func (a *Amounts) class() corev1.PodQOSClass {
	none := func(i int) bool { return a.Of[i] == "" || a.Of[i] == "0" }
	switch {
	case none(0) && none(1) && none(2) && none(3):
		return corev1.PodQOSBestEffort
	case none(2) || none(3) || !same(a.Of[0], a.Of[2]) || !same(a.Of[1], a.Of[3]):
		return corev1.PodQOSBurstable
	}
	return corev1.PodQOSGuaranteed
}

// same tells whether two amounts, of which the second is not empty, are the same, however they are written.
func same(a, b string) bool {
	if a == b || a == "" {
		return a == b
	}
	x, y := resource.MustParse(a), resource.MustParse(b) // they were quantities' Strings
	return x.Cmp(y) == 0
}

// ResizedFields are what managedFields say that we changed by a resize and nobody changed since: the API server takes a
// field from its manager when another one gives it another value. JSON; empty for most Pods.
type ResizedFields string

// ResizedFieldsOf reads managedFields.
func ResizedFieldsOf(entries []metav1.ManagedFieldsEntry) ResizedFields {
	for i := range entries {
		e := &entries[i]
		if e.Manager != plan.FieldManager || e.Subresource != "resize" || e.FieldsV1 == nil {
			continue
		}
		if raw := e.FieldsV1.GetRawString(); CheckObject(raw) == nil {
			return ResizedFields(object(raw, "f:spec"))
		}
	}
	return ""
}

// Of tells which amounts of a container are among them, in the order of AmountPlaces.
func (f ResizedFields) Of(container string, init bool) (ours [4]bool) {
	if f == "" {
		return ours
	}
	list := "f:containers"
	if init {
		list = "f:initContainers"
	}
	resources := object(object(object(string(f), list), `k:{"name":`+quote(container)+`}`), "f:resources")
	for i, place := range AmountPlaces() {
		_, ours[i] = Get(object(resources, "f:"+place.List), "f:"+place.Resource)
	}
	return ours
}

// Trouble is why kubelet does not give a Pod the cpu and memory that its spec names.
type Trouble struct {
	// Reason is Kubernetes' word: Deferred (not now), Infeasible (never on this node), Error; empty if nothing is in the way.
	Reason string
	// Message is kubelet's.
	Message string
}

// String returns both.
func (t Trouble) String() string {
	if t.Message == "" {
		return t.Reason
	}
	return t.Reason + ": " + t.Message
}

// TroubleOf reads it from a Pod's status.
func TroubleOf(status *corev1.PodStatus) Trouble {
	for i := range status.Conditions {
		c := &status.Conditions[i]
		if c.Status != corev1.ConditionTrue {
			continue
		}
		if c.Type == corev1.PodResizePending || c.Type == corev1.PodResizeInProgress && c.Reason == corev1.PodReasonError {
			return Trouble{c.Reason, c.Message}
		}
	}
	return Trouble{}
}

// QoS is what a Pod's QoS class follows from. No resize may change that.
type QoS struct {
	// Fixed tells that the Pod has resources of its own, so that its containers' do not matter.
	Fixed bool
	// Best and Less are how many of its containers, init containers too, ask for no cpu or memory at all, and for less than
	// what makes a Pod Guaranteed: limits of both, and requests that equal them.
	Best, Less int16
	// Containers are all.
	Containers int16
}

// Add counts a container.
func (q *QoS) Add(a *Amounts) {
	q.Containers++
	q.count(a, 1)
}

func (q *QoS) count(a *Amounts, n int16) {
	switch a.class() {
	case corev1.PodQOSBestEffort:
		q.Best, q.Less = q.Best+n, q.Less+n
	case corev1.PodQOSBurstable:
		q.Less += n
	}
}

// Resized returns what it is after a container has other amounts.
func (q QoS) Resized(from, to *Amounts) QoS {
	q.count(from, -1)
	q.count(to, 1)
	return q
}

// Becomes says why a Pod of this class cannot be resized to be of another one; empty if it keeps its class.
func (q QoS) Becomes(other QoS) string {
	if is, gets := q.Class(), other.Class(); is != gets {
		return fmt.Sprintf("the new cpu and memory would make the pod %s, its QoS class is %s; Kubernetes does not change that of a running pod", gets, is)
	}
	return ""
}

// Class returns the QoS class; empty where the containers do not matter.
func (q QoS) Class() corev1.PodQOSClass {
	switch {
	case q.Fixed:
		return ""
	case q.Best == q.Containers:
		return corev1.PodQOSBestEffort
	case q.Less == 0:
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}
