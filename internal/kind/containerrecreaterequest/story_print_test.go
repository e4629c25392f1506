package containerrecreaterequest_test

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan"
)

// tell prints what is waited for, if that is not what was told last.
func (s *story) tell(b *strings.Builder, who string, holds []plan.Hold, wake time.Duration) {
	var text string
	for _, h := range holds {
		text += fmt.Sprintf("%s: hold %s %s: %s\n", who, h.Unit, h.Reason, h.Why)
	}
	if wake > 0 {
		text += fmt.Sprintf("%s: look again after %s\n", who, wake)
	}
	if !strings.Contains(b.String(), text) || text == "" {
		b.WriteString(text)
	}
}

// write prints what changes of the status.
func (s *story) write(b *strings.Builder, who string, status v1beta1.ContainerRecreateRequestStatus) bool {
	if equality.Semantic.DeepEqual(status, s.request.Status) {
		return false
	}
	fmt.Fprintf(b, "%s: status %s\n", who, s.short(status))
	s.request.Status = status
	return true
}

func (s *story) short(status v1beta1.ContainerRecreateRequestStatus) string {
	text := string(status.Phase)
	if status.CompletionTime == nil && status.Message != "" {
		text += "(" + status.Message + ")"
	}
	for _, st := range status.ContainerRecreateStates {
		text += fmt.Sprintf("; %s %s", st.Name, st.Phase)
		if st.ContainerID != "" {
			text += " " + strings.TrimPrefix(st.ContainerID, "sim://")
		}
		if st.IsKilled {
			text += " killed"
		}
		if st.Message != "" {
			text += " (" + st.Message + ")"
		}
	}
	for _, c := range status.ContainerStatusSnapshot {
		text += fmt.Sprintf("; kubelet: %s ready=%v", strings.TrimPrefix(c.ContainerID, "sim://"), c.Ready)
	}
	for _, c := range status.Conditions {
		text += fmt.Sprintf("; %s=%s %s", c.Type, c.Status, c.Reason)
		if c.Message != "" {
			text += ": " + c.Message
		}
	}
	return text
}
