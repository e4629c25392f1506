package v1alpha1

import (
	"encoding/json"
	"fmt"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

// UnmarshalJSON reads `enabled` as well as `{"type": "enabled"}`.
func (p *ShareVolumePolicy) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &p.Type)
	}
	if err := json.Unmarshal(data, (*v1beta1.ShareVolumePolicy)(p)); err != nil {
		return fmt.Errorf("shareVolumePolicy: %w", err)
	}
	return nil
}
