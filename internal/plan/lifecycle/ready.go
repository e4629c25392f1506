package lifecycle

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// Message is somebody's reason to keep a Pod not ready. The condition KruisePodReady holds the list of them, as JSON, in
// its message; it is False while there is one.
type Message = v1beta1.KruisePodReadyMessage

const (
	agent         = "Lifecycle"
	preUpdateHook = "preUpdateHook"
	preDeleteHook = "preDeleteHook"
)

// Messages reads the message of a condition KruisePodReady. The empty string is an empty list. An error tells that it
// is no such list.
func Messages(message string) ([]Message, error) {
	if message == "" {
		return nil, nil
	}
	var list []Message
	if err := json.Unmarshal([]byte(message), &list); err != nil {
		return nil, fmt.Errorf("read the message of %s: %w", v1beta1.KruisePodReady, err)
	}
	return list, nil
}

// Status is what the condition KruisePodReady must be with this message: also when the Pod has no such condition yet,
// since without it the Pod would never be ready. A message that cannot be read is somebody's reason too.
func Status(message string) corev1.ConditionStatus {
	if list, err := Messages(message); err != nil || len(list) > 0 {
		return corev1.ConditionFalse
	}
	return corev1.ConditionTrue
}

// With returns the message with m in it, sorted, and whether that changed it. A message that cannot be read is replaced.
func With(message string, m Message) (string, bool) {
	list, err := Messages(message)
	if err == nil && slices.Contains(list, m) {
		return message, false
	}
	return write(append(list, m)), true
}

// Without returns the message without m, and whether that changed it. One that cannot be read is left as it is.
func Without(message string, m Message) (string, bool) {
	list, err := Messages(message)
	if err != nil || !slices.Contains(list, m) {
		return message, false
	}
	return write(slices.DeleteFunc(list, func(other Message) bool { return other == m })), true
}

func write(list []Message) string {
	slices.SortFunc(list, func(a, b Message) int {
		return cmp.Or(cmp.Compare(a.UserAgent, b.UserAgent), cmp.Compare(a.Key, b.Key))
	})
	data, err := json.Marshal(slices.Compact(list))
	if err != nil {
		panic(err) // two strings
	}
	return string(data)
}

// ReadyMessage returns what the message of KruisePodReady becomes when the Pod is in this state, and whether that
// changes it. A hook with markPodNotReady keeps the Pod not ready while the Pod is prepared:
//
//	state             preUpdateHook            preDeleteHook
//	PreparingUpdate   if it is marked          no
//	Updating          as it was                no
//	PreparingDelete   as it was                if it is marked
//	any other         no                       no
//
// So a Pod whose update is called off, or that is taken back, becomes ready again. Others' reasons stay.
func ReadyMessage(l *v1beta1.Lifecycle, in State, message string) (string, bool) {
	hooks, update, del := of(l), false, false
	switch in {
	case preparingUpdate:
		update = marks(hooks.InPlaceUpdate)
	case updating:
		update = contains(message, preUpdateHook)
	case preparingDelete:
		update, del = contains(message, preUpdateHook), marks(hooks.PreDelete)
	}
	after, updateChanged := set(message, preUpdateHook, update)
	after, deleteChanged := set(after, preDeleteHook, del)
	return after, updateChanged || deleteChanged
}

func set(message, key string, want bool) (string, bool) {
	m := Message{UserAgent: agent, Key: key}
	if want {
		return With(message, m)
	}
	return Without(message, m)
}

func contains(message, key string) bool {
	list, err := Messages(message)
	return err == nil && slices.Contains(list, Message{UserAgent: agent, Key: key})
}
