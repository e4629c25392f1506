package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/testkit"
)

const (
	podPath   = "/api/v1/namespaces/default/pods/web-0"
	podsPath  = "/api/v1/pods"
	shopPath  = "/api/v1/namespaces/default"
	spacesAll = "/api/v1/namespaces"
	setsPath  = "/apis/apps.kruise.io/v1beta1/sidecarsets"
)

// served is an API server that has these answers, and 403 for what is nil.
type served map[string]any

func (s served) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, ok := s[r.URL.Path]
	w.Header().Set("Content-Type", "application/json")
	switch {
	case !ok: // as an API server answers for what it does not serve
		http.Error(w, "404 page not found", http.StatusNotFound)
		return
	case answer == nil:
		w.WriteHeader(http.StatusForbidden)
		answer = metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: http.StatusForbidden,
			Reason: metav1.StatusReasonForbidden, Message: `no: User "eve" cannot read it`,
		}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// cluster has the Pod web-0 with the set logtail, which has a newer version, and selects namespaces by label on request.
func cluster(byLabel bool) served {
	set := testkit.SidecarSet("logtail", "logtail:1", intstr.FromInt32(1))
	set.APIVersion, set.Kind = v1beta1.GroupVersion().String(), "SidecarSet"
	if byLabel {
		set.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"env": "prod"}}
	}
	pods := []corev1.Pod{*testkit.Carrier("web-0", set), *testkit.Carrier("web-1", set)}
	set.Spec.Containers[0].Image = "logtail:2"
	set.Spec.UpdateStrategy.Paused = true
	namespace := corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default", Labels: map[string]string{"env": "prod"}}}
	typed := func(kind string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: "v1", Kind: kind} }
	pods[0].TypeMeta, namespace.TypeMeta = typed("Pod"), typed("Namespace")
	return served{
		podPath:   pods[0],
		podsPath:  corev1.PodList{TypeMeta: typed("PodList"), Items: pods},
		shopPath:  namespace,
		spacesAll: corev1.NamespaceList{TypeMeta: typed("NamespaceList"), Items: []corev1.Namespace{namespace}},
		setsPath: v1beta1.SidecarSetList{
			TypeMeta: metav1.TypeMeta{APIVersion: set.APIVersion, Kind: "SidecarSetList"}, Items: []v1beta1.SidecarSet{*set},
		},
	}
}

const (
	group       = "/apis/apps.kruise.io/v1beta1"
	jobPath     = group + "/namespaces/default/imagepulljobs/next"
	nodesPath   = "/api/v1/nodes"
	markersPath = group + "/namespaces/default/podprobemarkers"
	markerPath  = markersPath + "/idle"
	toldPath    = group + "/nodepodprobes"
)

// images has a node without an agent, an ImagePullJob for all nodes, and a PodProbeMarker that selects one Pod.
func images() served {
	ours := func(kind string) metav1.TypeMeta {
		return metav1.TypeMeta{APIVersion: v1beta1.GroupVersion().String(), Kind: kind}
	}
	job := v1beta1.ImagePullJob{TypeMeta: ours("ImagePullJob"), ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "next", UID: "job"}}
	job.Spec.Image = "app:2"
	node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	marker := v1beta1.PodProbeMarker{TypeMeta: ours("PodProbeMarker"), ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "idle", UID: "m"}}
	marker.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "game"}}
	marker.Spec.Probes = []v1beta1.PodContainerProbe{{Name: "idle", ContainerName: "game"}}
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "game-0", Labels: marker.Spec.Selector.MatchLabels}}
	typed := func(kind string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: "v1", Kind: kind} }
	return served{
		jobPath: job, nodesPath: corev1.NodeList{TypeMeta: typed("NodeList"), Items: []corev1.Node{node}},
		group + "/nodeimages": v1beta1.NodeImageList{TypeMeta: ours("NodeImageList")}, markerPath: marker,
		markersPath:                       v1beta1.PodProbeMarkerList{TypeMeta: ours("PodProbeMarkerList"), Items: []v1beta1.PodProbeMarker{marker}},
		toldPath:                          v1beta1.NodePodProbeList{TypeMeta: ours("NodePodProbeList")},
		"/api/v1/namespaces/default/pods": corev1.PodList{TypeMeta: typed("PodList"), Items: []corev1.Pod{pod}},
	}
}

const (
	requestPath = group + "/namespaces/default/containerrecreaterequests/again"
	ordersPath  = group + "/nodecontainerrecreates/node-1"
)

// recreations has a request for the Pod web-0, which the agent has begun with.
func recreations() served {
	ours := func(kind string) metav1.TypeMeta {
		return metav1.TypeMeta{APIVersion: v1beta1.GroupVersion().String(), Kind: kind}
	}
	request := v1beta1.ContainerRecreateRequest{TypeMeta: ours("ContainerRecreateRequest"), ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: "again", UID: "r", CreationTimestamp: metav1.Now(),
		Labels: map[string]string{v1beta1.ContainerRecreateRequestNodeNameLabel: "node-1", v1beta1.ContainerRecreateRequestPodUIDLabel: "p"},
	}}
	request.Spec.PodName = "web-0"
	request.Spec.Containers = []v1beta1.ContainerRecreateRequestContainer{{Name: "app"}}
	pod := corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-0", UID: "p"}}
	told := v1beta1.NodeContainerRecreate{TypeMeta: ours("NodeContainerRecreate"), ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}
	told.Spec.Requests = []v1beta1.RecreateOrder{{UID: "r", Namespace: "default", Name: "again"}}
	told.Status.Requests = []v1beta1.RecreateReport{{UID: "r", Phase: v1beta1.ContainerRecreateRequestRecreating}}
	told.Status.Requests[0].ContainerRecreateStates = []v1beta1.ContainerRecreateRequestContainerRecreateState{{Name: "app", Phase: v1beta1.ContainerRecreateRequestRecreating}}
	return served{requestPath: request, podPath: pod, ordersPath: told}
}

func TestWhy(t *testing.T) {
	without := func(s served, path string) served { delete(s, path); return s }
	forbidden := func(s served, path string) served { s[path] = nil; return s }
	held := "held        Paused: updateStrategy.paused is true"
	tests := map[string]struct {
		cluster served
		args    string
		want    []string
		wantErr string
	}{
		"a pod":               {cluster: cluster(false), args: "pod/web-0", want: []string{"Pod default/web-0: Running, ready", held, "0 of 2 pods updated"}},
		"by namespace labels": {cluster: cluster(true), args: "pod/web-0", want: []string{held, "0 of 2 pods updated"}},
		"a set":               {cluster: cluster(true), args: "sidecarset/logtail", want: []string{"SidecarSet logtail", "Paused  2 pods: default/web-0, default/web-1"}},
		"as JSON":             {cluster: cluster(false), args: "pod/web-0 -o json", want: []string{`"reason": "Paused"`}},
		"as YAML":             {cluster: cluster(false), args: "sidecarset/logtail -o yaml", want: []string{"reason: Paused", "matched: 2"}},
		"one set":             {cluster: cluster(false), args: "pod/web-0 --sidecarset logtail", want: []string{held}},
		"no such pod":         {cluster: without(cluster(false), podPath), args: "pod/web-0", wantErr: "there is no pod web-0 in namespace default"},
		"forbidden pod":       {cluster: forbidden(cluster(false), podPath), args: "pod/web-0", wantErr: `read pod web-0: no: User "eve" cannot read it`},
		"forbidden sets":      {cluster: forbidden(cluster(false), setsPath), args: "pod/web-0", wantErr: `read the SidecarSets: no: User "eve" cannot read it`},
		"forbidden pods": {
			cluster: forbidden(cluster(false), podsPath), args: "pod/web-0",
			want: []string{"image logtail:1 → logtail:2", `what partition and maxUnavailable allow is not known: read its pods: no: User "eve" cannot read it`},
		},
		"forbidden namespaces": {
			cluster: forbidden(cluster(true), spacesAll), args: "pod/web-0",
			want: []string{"image logtail:1 → logtail:2", "not known: it selects namespaces by label: no: User"},
		},
		"forbidden namespace": {
			cluster: forbidden(cluster(false), shopPath), args: "pod/web-0",
			want: []string{held, "the labels of namespace default are not known: no: User"},
		},
		"a job": {
			cluster: images(), args: "imagepulljob/next", want: []string{"ImagePullJob default/next", "NoAgent  1 node: node-1\n    the node has no NodeImage yet"},
		},
		"a job, as JSON":    {cluster: images(), args: "imagepulljob/next -o json", want: []string{`"image": "app:2"`, `"reason": "NoAgent"`}},
		"no such job":       {cluster: without(images(), jobPath), args: "imagepulljob/next", wantErr: "there is no ImagePullJob next in namespace default"},
		"forbidden nodes":   {cluster: forbidden(images(), nodesPath), args: "imagepulljob/next", wantErr: `read the nodes: no: User "eve" cannot read it`},
		"a marker":          {cluster: images(), args: "podprobemarker/idle", want: []string{"PodProbeMarker default/idle\n  pods        1 selected, 0 started", "Probed      False ContainerNotFound"}},
		"no such marker":    {cluster: without(images(), markerPath), args: "podprobemarker/idle", wantErr: "there is no PodProbeMarker idle in namespace default"},
		"what is not read":  {cluster: forbidden(images(), toldPath), args: "podprobemarker/idle", want: []string{`what the probes find is not known: no: User "eve" cannot read it`}},
		"a request":         {cluster: recreations(), args: "crr/again", want: []string{"ContainerRecreateRequest default/again\n  pod         web-0 on node node-1", "status      Recreating\n  container   app Recreating"}},
		"no such request":   {cluster: without(recreations(), requestPath), args: "crr/again", wantErr: "there is no ContainerRecreateRequest again in namespace default"},
		"its pod has gone":  {cluster: without(recreations(), podPath), args: "crr/again", want: []string{"Completed: ", "pod has gone"}},
		"forbidden reports": {cluster: forbidden(recreations(), ordersPath), args: "crr/again", want: []string{`what the agent of node node-1 is told and reports is not known: no: User "eve"`}},
		"nobody is told":    {cluster: without(recreations(), ordersPath), args: "crr/again", want: []string{"the agent of node node-1 is not told of it", "WaitingForAgent"}},
		"a set's flag":      {cluster: images(), args: "imagepulljob/next --sidecarset a", wantErr: "--sidecarset goes with pod/NAME"},
		"no name":           {cluster: images(), args: "imagepulljob/", wantErr: `"imagepulljob/": must be pod/NAME, sidecarset/NAME, cloneset/NAME, imagepulljob/NAME, podprobemarker/NAME or containerrecreaterequest/NAME`},
		"not installed":     {cluster: without(cluster(false), setsPath), args: "pod/web-0", wantErr: "outrigger is not installed on this cluster: it does not serve sidecarsets.apps.kruise.io"},
		"no such set":       {cluster: cluster(false), args: "sidecarset/other", wantErr: "there is no SidecarSet other"},
		"no such set too":   {cluster: cluster(false), args: "pod/web-0 --sidecarset other", wantErr: "there is no SidecarSet other"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tt.cluster)
			defer server.Close()
			t.Setenv("KUBECONFIG", "/does-not-exist")
			var out bytes.Buffer
			cmd := New(Streams{In: strings.NewReader(""), Out: &out, Err: &out}, nil)
			cmd.SetArgs(append([]string{"why", "--server", server.URL}, strings.Fields(tt.args)...))
			err := cmd.Execute()
			switch {
			case tt.wantErr != "" && (err == nil || err.Error() != tt.wantErr):
				t.Fatalf("error is %v, want %s", err, tt.wantErr)
			case tt.wantErr == "" && err != nil:
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("it does not say %q:\n%s", want, out.String())
				}
			}
		})
	}
}
