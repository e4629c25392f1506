package supervisor

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/outrigger-project/outrigger/devcluster/internal/clusterdir"
	"github.com/outrigger-project/outrigger/devcluster/internal/component"
	"github.com/outrigger-project/outrigger/devcluster/internal/pki"
	"github.com/outrigger-project/outrigger/devcluster/internal/wire"
)

// probes ask the components how they are.
type probes struct {
	etcd, cluster *http.Client
	kube          kubernetes.Interface
}

func newProbes(dir clusterdir.Dir) (*probes, error) {
	etcd, err := pki.ClientTLS(dir.PKI(), pki.EtcdCA, "apiserver-etcd-client")
	if err != nil {
		return nil, err
	}
	cluster, err := pki.ClientTLS(dir.PKI(), pki.ClusterCA, "admin")
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", dir.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("load kubeconfig: %w", err)
	}
	config.QPS, config.Timeout, config.UserAgent = -1, 5*time.Second, "devcluster"
	config.ContentType = "application/vnd.kubernetes.protobuf"
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return &probes{etcd: probeClient(etcd), cluster: probeClient(cluster), kube: kube}, nil
}

func probeClient(t *tls.Config) *http.Client {
	// No kept connections: a probe must not be fooled by one to a process that is gone.
	return &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{TLSClientConfig: t, DisableKeepAlives: true}}
}

// health asks one component; nil means it is well.
func (p *probes) health(ctx context.Context, c component.Component) error {
	if c.Socket != "" {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", c.Socket)
		if err != nil {
			return fmt.Errorf("connect to %s: %w", c.Name, err)
		}
		return conn.Close()
	}
	client := p.cluster
	if c.Name == component.Etcd {
		client = p.etcd
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.HealthURL(), nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", c.Name, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask %s: %w", c.Name, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	return fmt.Errorf("%s answers %s: %s", c.Name, resp.Status, strings.TrimSpace(string(body)))
}

// usable tells whether pods can be created and run: every component is
// healthy, all nodes are Ready and pods find their service account.
func (p *probes) usable(ctx context.Context, all []component.Component, nodes int) error {
	for _, c := range all {
		if err := p.health(ctx, c); err != nil {
			return err
		}
	}
	if _, err := p.kube.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{}); err != nil {
		return fmt.Errorf("wait for the default service account: %w", err)
	}
	known, err := p.nodes(ctx)
	if err != nil {
		return err
	}
	ready := 0
	for _, n := range known {
		if n.Ready {
			ready++
		}
	}
	if ready < nodes {
		return fmt.Errorf("%d of %d nodes are Ready", ready, nodes)
	}
	for _, c := range all {
		if c.NewNode {
			if err := p.knowsItsPods(ctx, c.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// knowsItsPods asks the kubelet of a real node, through the API server, whether
// it has heard of all pods that are bound to it. One that was just restarted is
// healthy, and its node still Ready, before it knows any; an exec would fail.
func (p *probes) knowsItsPods(ctx context.Context, node string) error {
	answer, err := p.kube.CoreV1().RESTClient().Get().Resource("nodes").Name(node).SubResource("proxy").Suffix("pods").DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("ask the kubelet of %s for its pods: %w", node, err)
	}
	var known corev1.PodList
	if err := json.Unmarshal(answer, &known); err != nil {
		return fmt.Errorf("ask the kubelet of %s for its pods: %w", node, err)
	}
	uids := map[types.UID]bool{}
	for i := range known.Items {
		uids[known.Items[i].UID] = true
	}
	bound, err := p.kube.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "status.phase=Running,spec.nodeName=" + node})
	if err != nil {
		return fmt.Errorf("list the pods of %s: %w", node, err)
	}
	for i := range bound.Items {
		if pod := &bound.Items[i]; !uids[pod.UID] {
			return fmt.Errorf("the kubelet of %s has not heard of pod %s/%s", node, pod.Namespace, pod.Name)
		}
	}
	return nil
}

func (p *probes) nodes(ctx context.Context) ([]wire.Node, error) {
	// Resource version 0: the API server's cache will do.
	list, err := p.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	var nodes []wire.Node
	for i := range list.Items {
		nodes = append(nodes, wire.Node{Name: list.Items[i].Name, Ready: takesPods(&list.Items[i])})
	}
	return nodes, nil
}

// takesPods tells whether a node is Ready and the scheduler may know it: the
// taint of a node that is not ready goes a moment after the condition changes.
func takesPods(n *corev1.Node) bool {
	for _, t := range n.Spec.Taints {
		if t.Key == corev1.TaintNodeNotReady {
			return false
		}
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// wait asks again and again until the answer is nil or ctx ends.
func (p *probes) wait(ctx context.Context, what string, ask func(context.Context) error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
				return cause
			}
			return fmt.Errorf("%s is not ready in time: %w", what, err)
		case <-tick.C:
		}
	}
}
