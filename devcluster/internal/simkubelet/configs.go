package simkubelet

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// configs knows which ConfigMaps there are and which keys they have, and
// queues the pods that wait for one when it changes.
type configs struct {
	store    cache.Store
	informer cache.Controller

	mu      sync.Mutex
	waiting map[string]map[string]bool // ConfigMap → pods that lack something of it
}

func newConfigs(client kubernetes.Interface, queue func(string)) *configs {
	c := &configs{waiting: map[string]map[string]bool{}}
	changed := func(o any) {
		if m, ok := o.(*corev1.ConfigMap); ok {
			for _, pod := range c.release(m.Namespace + "/" + m.Name) {
				queue(pod)
			}
		}
	}
	all := client.CoreV1().ConfigMaps(corev1.NamespaceAll)
	c.store, c.informer = cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				return all.List(ctx, o)
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				return all.Watch(ctx, o)
			},
		}, client),
		ObjectType: &corev1.ConfigMap{},
		Transform:  keysOnly,
		Handler:    cache.ResourceEventHandlerFuncs{AddFunc: changed, UpdateFunc: func(_, o any) { changed(o) }},
	})
	return c
}

func (c *configs) run(ctx context.Context) { c.informer.RunWithContext(ctx) }

func (c *configs) synced() bool { return c.informer.HasSynced() }

// keysOnly drops the values of a ConfigMap.
func keysOnly(o any) (any, error) {
	m, ok := o.(*corev1.ConfigMap)
	if !ok {
		return o, nil
	}
	m.ObjectMeta = metav1.ObjectMeta{Name: m.Name, Namespace: m.Namespace, ResourceVersion: m.ResourceVersion}
	for key := range m.Data {
		m.Data[key] = ""
	}
	for key := range m.BinaryData {
		m.BinaryData[key] = nil
	}
	return m, nil
}

// unmet says for the containers of a pod what is missing for their
// environment, in a kubelet's words, and remembers who waits.
func (c *configs) unmet(pod *corev1.Pod, key string) map[string]string {
	var unmet map[string]string
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			message := c.check(pod.Namespace, key, &list[i])
			if message == "" {
				continue
			}
			if unmet == nil {
				unmet = map[string]string{}
			}
			unmet[list[i].Name] = message
		}
	}
	return unmet
}

func (c *configs) check(namespace, pod string, container *corev1.Container) string {
	for _, e := range container.EnvFrom {
		if ref := e.ConfigMapRef; !isTrue(ref.Optional) && c.await(namespace+"/"+ref.Name, "", pod) {
			return fmt.Sprintf("configmap %q not found", ref.Name)
		}
	}
	for _, e := range container.Env {
		ref := e.ValueFrom.ConfigMapKeyRef
		if isTrue(ref.Optional) || !c.await(namespace+"/"+ref.Name, ref.Key, pod) {
			continue
		}
		if !c.has(namespace+"/"+ref.Name, "") {
			return fmt.Sprintf("configmap %q not found", ref.Name)
		}
		return fmt.Sprintf("couldn't find key %s in ConfigMap %s/%s", ref.Key, namespace, ref.Name)
	}
	return ""
}

func isTrue(b *bool) bool { return b != nil && *b }

// await tells whether a key of a ConfigMap (or, with key "", the whole) is
// missing; the pod is then queued when the ConfigMap changes. It looks after
// it has noted who waits, so a change in between is not lost.
func (c *configs) await(configMap, key, pod string) bool {
	if c.has(configMap, key) {
		return false
	}
	c.mu.Lock()
	if c.waiting[configMap] == nil {
		c.waiting[configMap] = map[string]bool{}
	}
	c.waiting[configMap][pod] = true
	c.mu.Unlock()
	return !c.has(configMap, key)
}

func (c *configs) has(configMap, key string) bool {
	o, exists, err := c.store.GetByKey(configMap)
	if err != nil || !exists {
		return false
	}
	if key == "" {
		return true
	}
	m := o.(*corev1.ConfigMap)
	_, text := m.Data[key]
	_, binary := m.BinaryData[key]
	return text || binary
}

// release returns the pods that wait for a ConfigMap; those that still lack
// something will say so again.
func (c *configs) release(configMap string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var pods []string
	for pod := range c.waiting[configMap] {
		pods = append(pods, pod)
	}
	delete(c.waiting, configMap)
	return pods
}

func (c *configs) forget(pod string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, pods := range c.waiting {
		delete(pods, pod)
	}
}
