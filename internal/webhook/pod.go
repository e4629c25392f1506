package webhook

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/inject"
	"github.com/outrigger-project/outrigger/internal/plan/inject/jsonview"
	"github.com/outrigger-project/outrigger/internal/plan/scope"
)

// maxReview bounds a request's body. The API server limits objects to about 3 MiB.
const maxReview = 8 << 20

// PodHandler answers the admission reviews of Pods at their creation with the patch that injects the
// SidecarSets which match. It reads and writes nothing through the API: Put, PutRevision and PutNamespace tell it
// what there is. It reads the review in place instead of decoding it, because it stands before every Pod.
//
// A SidecarSet that cannot be prepared for injection (one that another version of this program has stored,
// and that asks for something this one does not know) injects nothing and blocks nothing: whoever creates a
// Pod can neither see nor mend it, and after a downgrade every Pod that it matches would be refused. Put
// returns the error and Unusable keeps it, for logs, health and metrics. What fails for one Pod (a name used
// twice, an annotation of ours that cannot be read) refuses that Pod with 422 and says why.
//
// The zero PodHandler is ready to use and knows of no sets. All methods may be called concurrently.
type PodHandler struct {
	// SortContainers orders injected containers by name (gate EnableSortSidecarContainerByName). It is set before
	// the first request.
	SortContainers bool
	// Metrics count what is injected; nil: nobody does. They are set before the first request.
	Metrics *PodMetrics

	feeding sync.Mutex // one change of the sets at a time
	fed     fed
	shares  shares

	mu         sync.RWMutex
	sets       scope.Index[*inject.Set]
	namespaces map[string]map[string]string
	unusable   map[string]error
}

// Put makes a SidecarSet, new or changed, known. It is not to be changed afterwards. On an error the set injects nothing
// until it is put again.
func (h *PodHandler) Put(set *v1beta1.SidecarSet) error {
	h.feeding.Lock()
	defer h.feeding.Unlock()
	return h.put(set)
}

func (h *PodHandler) put(set *v1beta1.SidecarSet) error {
	prepared, err := h.fed.prepare(set)
	h.fed.put(set, prepared)
	h.mu.Lock()
	defer h.mu.Unlock()
	defer func() { h.Metrics.cannotUse(len(h.unusable)) }()
	h.Metrics.follow(set.Name)
	if err != nil {
		h.sets.Delete(set.Name)
		if h.unusable == nil {
			h.unusable = map[string]error{}
		}
		h.unusable[set.Name] = err
		return err
	}
	delete(h.unusable, set.Name)
	h.sets.Put(set.Name, prepared.Scope, prepared)
	return nil
}

// Delete forgets a SidecarSet.
func (h *PodHandler) Delete(name string) {
	h.feeding.Lock()
	defer h.feeding.Unlock()
	h.fed.delete(name)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sets.Delete(name)
	delete(h.unusable, name)
	h.Metrics.forget(name)
	h.Metrics.cannotUse(len(h.unusable))
}

// PutNamespace makes a namespace's labels known. Until then only its name decides: a SidecarSet whose
// namespaceSelector asks for other labels does not match.
func (h *PodHandler) PutNamespace(name string, labels map[string]string) {
	known := maps.Clone(labels)
	if known == nil {
		known = map[string]string{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.namespaces == nil {
		h.namespaces = map[string]map[string]string{}
	}
	h.namespaces[name] = known
}

// DeleteNamespace forgets a namespace.
func (h *PodHandler) DeleteNamespace(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.namespaces, name)
}

// Unusable returns, by name, the SidecarSets that inject nothing, and why.
func (h *PodHandler) Unusable() map[string]error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return maps.Clone(h.unusable)
}

// ServeHTTP answers an AdmissionReview of admission.k8s.io/v1; what is not one gets 400.
func (h *PodHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "an AdmissionReview is sent by POST", http.StatusMethodNotAllowed)
		return
	}
	body, err := readBody(w, r)
	if err != nil {
		http.Error(w, fmt.Sprintf("read the review: %v", err), http.StatusBadRequest)
		return
	}
	h.answer(w, body, nil)
}

// answer answers a review. fresh are sets that are newer than what Put has told, or not known from it yet.
func (h *PodHandler) answer(w http.ResponseWriter, body []byte, fresh []*v1beta1.SidecarSet) {
	answer, err := h.review(body, h.prepared(fresh))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// A failure to write means that the caller has gone; there is nobody to tell.
	_, _ = w.Write(answer)
}

// prepared prepares sets. What cannot be prepared injects nothing.
func (h *PodHandler) prepared(sets []*v1beta1.SidecarSet) []*inject.Set {
	var all []*inject.Set
	for _, set := range sets {
		if prepared, err := h.fed.prepare(set); err == nil {
			all = append(all, prepared)
		}
	}
	return all
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limited := http.MaxBytesReader(w, r.Body, maxReview)
	if r.ContentLength < 0 || r.ContentLength > maxReview {
		return io.ReadAll(limited)
	}
	body := make([]byte, r.ContentLength)
	_, err := io.ReadFull(limited, body)
	return body, err
}

// review decides about one review. Its errors are malformed reviews.
func (h *PodHandler) review(body []byte, fresh []*inject.Set) ([]byte, error) {
	review, err := jsonview.Parse(body)
	if err != nil {
		return nil, fmt.Errorf("read the review: %w", err)
	}
	request := review.Get("request")
	if err := wellFormed(review, request); err != nil {
		return nil, err
	}
	uid := request.Get("uid")
	if !request.Get("operation").Is("CREATE") || request.Get("subResource").Text() != "" {
		return allowed(uid, nil), nil
	}
	object := request.Get("object")
	if !object.IsObject() {
		return nil, errors.New("the review has no request.object")
	}
	metadata := object.Get("metadata")
	if pullsImage(request, metadata) {
		return allowed(uid, nil), nil
	}
	namespace := metadata.Get("namespace").Text()
	if namespace == "" {
		namespace = request.Get("namespace").Text()
	}
	if namespace == "" {
		namespace = "default"
	}
	sets := h.matching(metadata.Get("labels"), namespace, fresh)
	result, err := h.inject(request, object, namespace, sets)
	h.Metrics.count(sets, result, err)
	if err != nil {
		return refused(uid, fmt.Sprintf("sidecars cannot be injected: %v", err)), nil
	}
	return allowed(uid, result.Patch), nil
}

// pullsImage tells whether a Pod is one that our manager makes to have a node pull an image (docs/adr/0007-private-images.md):
// it runs nothing, so there is nothing that a sidecar could be for. Who else uses the label is not believed.
func pullsImage(request, metadata jsonview.Value) bool {
	if !metadata.Get("labels").Get(v1beta1.ImagePullPodLabel).Present() {
		return false
	}
	user := request.Get("userInfo").Get("username").Text()
	return strings.HasPrefix(user, "system:serviceaccount:") && strings.HasSuffix(user, ":kruise-manager")
}

func (h *PodHandler) inject(request, object jsonview.Value, namespace string, sets []*inject.Set) (inject.Result, error) {
	facts := inject.Facts{Sets: sets, SortByName: h.SortContainers}
	if slices.ContainsFunc(sets, (*inject.Set).Shared) {
		return h.shares.inject(request, object, namespace, facts)
	}
	return inject.Pod(object, facts)
}

func wellFormed(review, request jsonview.Value) error {
	resource := request.Get("resource").Get("resource")
	switch {
	case !review.Get("kind").Is("AdmissionReview") || !review.Get("apiVersion").Is("admission.k8s.io/v1"):
		return errors.New("want kind AdmissionReview of apiVersion admission.k8s.io/v1")
	case !request.IsObject():
		return errors.New("the review has no request")
	case !request.Get("uid").IsString():
		return errors.New("the review has no request.uid")
	case !resource.Is("pods"):
		return fmt.Errorf("request.resource.resource is %q: this path answers for pods only", resource.Text())
	}
	return nil
}

func (h *PodHandler) matching(labels jsonview.Value, namespace string, fresh []*inject.Set) []*inject.Set {
	pod := make(map[string]string, 16)
	for key, value := range labels.Fields() {
		pod[key.Text()] = value.Text()
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	known := h.sets.Find(pod, namespace, h.namespaces[namespace])
	if len(fresh) == 0 {
		return known
	}
	var newest scope.Index[*inject.Set] // a fresh set takes the place of the known one
	for _, set := range slices.Concat(known, fresh) {
		h.Metrics.follow(set.Name)
		newest.Put(set.Name, set.Scope, set)
	}
	return newest.Find(pod, namespace, h.namespaces[namespace])
}

// allowed answers yes, with a patch if there is one. uid is a JSON string.
func allowed(uid jsonview.Value, patch []byte) []byte {
	buf := make([]byte, 0, 256+base64.StdEncoding.EncodedLen(len(patch)))
	buf = appendHead(buf, uid)
	buf = append(buf, `,"allowed":true`...)
	if patch != nil {
		buf = append(buf, `,"patchType":"JSONPatch","patch":"`...)
		buf = base64.StdEncoding.AppendEncode(buf, patch)
		buf = append(buf, '"')
	}
	return append(buf, "}}\n"...)
}

// refused answers no with 422 and a message for whoever creates the Pod.
func refused(uid jsonview.Value, message string) []byte {
	text, err := json.Marshal(message)
	if err != nil {
		text = []byte(`""`)
	}
	buf := appendHead(nil, uid)
	buf = append(buf, `,"allowed":false,"status":{"status":"Failure","reason":"Invalid","code":422,"message":`...)
	buf = append(buf, text...)
	return append(buf, "}}}\n"...)
}

func appendHead(buf []byte, uid jsonview.Value) []byte {
	buf = append(buf, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":`...)
	return append(buf, uid...)
}
