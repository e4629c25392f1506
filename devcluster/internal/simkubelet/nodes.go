package simkubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

const (
	leaseNamespace = "kube-node-lease"
	// A node is NotReady after 50 s without a lease; kubelets renew it every 10 s.
	leaseSeconds = 40
	renewEvery   = 10 * time.Second
	podsPerNode  = "2000"
	// nodeWriters bounds the writes about nodes at the same time.
	nodeWriters = 10
)

// register makes the nodes, or takes over those that are there, and their
// leases. An API server that is not there yet, or has not made the namespace of
// the leases yet, is waited for.
func (k *kubelet) register(ctx context.Context) error {
	const retry = 200 * time.Millisecond
	for {
		err := k.eachNode(ctx, func(ctx context.Context, i int, name string) error {
			if err := k.registerNode(ctx, i, name); err != nil {
				return fmt.Errorf("register node %s: %w", name, err)
			}
			return k.renewLease(ctx, name)
		})
		if err == nil {
			return nil
		}
		k.log.Warn("will try again", "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(retry):
		}
	}
}

// eachNode calls do for all nodes, a few at a time, and returns the first error.
func (k *kubelet) eachNode(ctx context.Context, do func(ctx context.Context, i int, name string) error) error {
	var (
		all   sync.WaitGroup
		slots = make(chan struct{}, nodeWriters)
		errs  = make(chan error, k.cfg.Nodes)
	)
	for i := range k.cfg.Nodes {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			errs <- do(ctx, i, fmt.Sprintf("%s%d", k.cfg.NodePrefix, i))
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (k *kubelet) registerNode(ctx context.Context, i int, name string) error {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
		corev1.LabelTopologyRegion: "sim", corev1.LabelTopologyZone: fmt.Sprintf("zone-%d", i%3),
		"devcluster.outrigger.dev/simulated": "true",
	}}}
	nodes := k.client.CoreV1().Nodes()
	if _, err := nodes.Create(ctx, node, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create: %w", err)
	}
	body, err := json.Marshal(map[string]any{"status": k.nodeStatus(name)})
	if err != nil {
		return fmt.Errorf("encode status: %w", err)
	}
	if _, err := nodes.Patch(ctx, name, types.StrategicMergePatchType, body, metav1.PatchOptions{}, "status"); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	return nil
}

func (k *kubelet) nodeStatus(name string) corev1.NodeStatus {
	now := metav1.NewTime(k.now())
	condition := func(t corev1.NodeConditionType, s corev1.ConditionStatus, reason, message string) corev1.NodeCondition {
		return corev1.NodeCondition{Type: t, Status: s, Reason: reason, Message: message, LastHeartbeatTime: now, LastTransitionTime: now}
	}
	// Room for everything: what does not fit onto a node should be the test's choice.
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("1k"), corev1.ResourceMemory: resource.MustParse("4Ti"),
		corev1.ResourcePods: resource.MustParse(podsPerNode), corev1.ResourceEphemeralStorage: resource.MustParse("100Ti"),
	}
	return corev1.NodeStatus{
		Capacity: room, Allocatable: room,
		Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: k.nodes[name]}, {Type: corev1.NodeHostName, Address: name}},
		NodeInfo: corev1.NodeSystemInfo{
			KubeletVersion: k.cfg.Version + "-simulated", ContainerRuntimeVersion: "sim://1",
			OperatingSystem: "linux", Architecture: "amd64", OSImage: "simulated", KernelVersion: "simulated",
		},
		Conditions: []corev1.NodeCondition{
			condition(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady", "simulated kubelet is posting ready status"),
			condition(corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory", ""),
			condition(corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure", ""),
			condition(corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID", ""),
		},
	}
}

// renewLeases keeps the nodes alive until ctx ends. A lease that cannot be
// renewed is tried again in the next round; five rounds fit into the grace
// that the control plane gives a node.
func (k *kubelet) renewLeases(ctx context.Context) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := k.eachNode(ctx, func(ctx context.Context, _ int, name string) error { return k.renewLease(ctx, name) }); err != nil && ctx.Err() == nil {
			k.log.Warn("will try again", "error", err)
		}
	}
}

func (k *kubelet) renewLease(ctx context.Context, node string) error {
	ctx, cancel := context.WithTimeout(ctx, renewEvery)
	defer cancel()
	leases := k.client.CoordinationV1().Leases(leaseNamespace)
	now := metav1.NewMicroTime(k.now())
	spec := coordinationv1.LeaseSpec{HolderIdentity: &node, LeaseDurationSeconds: ptr.To[int32](leaseSeconds), RenewTime: &now}
	body, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		return fmt.Errorf("encode lease: %w", err)
	}
	_, err = leases.Patch(ctx, node, types.MergePatchType, body, metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: node}, Spec: spec}
		_, err = leases.Create(ctx, lease, metav1.CreateOptions{})
	}
	if err != nil {
		return fmt.Errorf("renew lease of node %s: %w", node, err)
	}
	return nil
}
