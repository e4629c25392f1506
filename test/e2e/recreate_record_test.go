package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// TestRecreate_whatTheAgentIsTold: the agent of a node is told of open requests by one object, which is written when there is
// news and at no other time; what no agent takes up is taken back, and then given up.
func TestRecreate_whatTheAgentIsTold(t *testing.T) {
	const ns = "recreate-told"
	namespace(t, ns)
	on := node(t, 4)                                                            // no agent is there
	kubectl(t, "", "delete", "nodecontainerrecreate", on, "--ignore-not-found") // another test may have made one
	kubectl(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"api","namespace":%q},"spec":{"nodeName":%q,"containers":[
		{"name":"api","image":"api:1","ports":[{"name":"web","containerPort":80},{"name":"admin","containerPort":81}],
		"lifecycle":{"preStop":{"httpGet":{"path":"/drain","port":"admin"}}}}]}}`, ns, on), "create", "-f", "-")
	eventually(t, time.Minute, func(context.Context) error {
		if pod := get(t, ns, "api"); len(pod.Status.ContainerStatuses) == 0 || pod.Status.ContainerStatuses[0].ContainerID == "" {
			return fmt.Errorf("pod api is not started")
		}
		return nil
	})
	ask := func(name, spec string) {
		kubectl(t, fmt.Sprintf(`{"apiVersion":"apps.kruise.io/v1beta1","kind":"ContainerRecreateRequest","metadata":{"name":%q,"namespace":%q},"spec":%s}`, name, ns, spec), "create", "-f", "-")
	}
	ask("one", `{"podName":"api","containers":[{"name":"api"}],"activeDeadlineSeconds":600}`)
	first := toldOn(t, on, "one")
	if owners := first.OwnerReferences; len(owners) != 1 || owners[0].Kind != "Node" || owners[0].Name != on {
		t.Errorf("its owners are %v", owners)
	}
	order := first.Spec.Requests[0]
	if ports := order.Containers[0].Ports; len(ports) != 1 || ports[0].ContainerPort != 81 || order.Deadline == nil || order.PodUID != string(get(t, ns, "api").UID) {
		t.Errorf("the agent is told %+v", order)
	}
	ask("two", `{"podName":"api","containers":[{"name":"api"}]}`)
	second := toldOn(t, on, "one two")
	kubectl(t, "", "-n", ns, "delete", "crr", "one", "--wait=false")
	third := toldOn(t, on, "two")
	if second.Generation != first.Generation+1 || third.Generation != first.Generation+2 {
		t.Errorf("its generations are %d, %d and %d", first.Generation, second.Generation, third.Generation)
	}
	eventually(t, 2*time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "-n", ns, "get", "crr", "two", "-o", "jsonpath={.status.phase} {.status.conditions[0].reason}")
		if err == nil && out != "Completed AgentDidNotRespond" {
			err = fmt.Errorf("it is %q", out)
		}
		return err
	})
	if last := toldOn(t, on, ""); last.Generation != third.Generation+2 { // it is taken back, and leaves when it has ended
		t.Errorf("its last generation is %d after %d", last.Generation, third.Generation)
	}
	kubectl(t, "", "delete", "nodecontainerrecreate", on)
	kubectl(t, fmt.Sprintf(`{"apiVersion":"apps.kruise.io/v1beta1","kind":"NodeContainerRecreate","metadata":{"name":%q}}`, on), "create", "-f", "-")
	ask("three", `{"podName":"api","containers":[{"name":"api"}]}`) // somebody's object that has nothing in it does as well
	toldOn(t, on, "three")
}

// toldOn waits until the agent of a node is told of exactly these requests.
func toldOn(t *testing.T, node, want string) (n v1beta1.NodeContainerRecreate) {
	t.Helper()
	eventually(t, time.Minute, func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "get", "nodecontainerrecreate", node, "-o", "json")
		if err != nil {
			return err
		}
		n = v1beta1.NodeContainerRecreate{}
		if err := json.Unmarshal([]byte(out), &n); err != nil {
			return err
		}
		var names []string
		for i := range n.Spec.Requests {
			names = append(names, n.Spec.Requests[i].Name)
		}
		if got := strings.Join(names, " "); got != want {
			return fmt.Errorf("the agent of %s is told of %q, not %q", node, got, want)
		}
		return nil
	})
	return n
}
