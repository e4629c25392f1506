package features

import (
	"strings"
	"testing"
)

func TestParse_gates(t *testing.T) {
	tests := map[string]struct {
		text    string
		gate    Gate
		want    bool
		wantErr string
	}{
		"nothing said: defaults":     {text: "", gate: PodWebhook, want: true},
		"off":                        {text: "PodWebhook=false", gate: PodWebhook, want: false},
		"stray blank of the article": {text: "PodWebhook =false, EnableExternalCerts= true", gate: EnableExternalCerts, want: true},
		"order of spec by default":   {text: "", gate: EnableSortSidecarContainerByName, want: false},
		"order by name":              {text: "EnableSortSidecarContainerByName=true", gate: EnableSortSidecarContainerByName, want: true},
		"not built, off":             {text: "PreparingUpdateAsUpdate=false", gate: PodWebhook, want: true},
		"not built, on":              {text: "PreparingUpdateAsUpdate=true", wantErr: "not supported yet"},
		"unknown":                    {text: "Nonsense=true", wantErr: `"Nonsense" is unknown`},
		"no value":                   {text: "PodWebhook", wantErr: "is not true or false"},
		"annotations, as the article writes it": {
			text: "SidecarSetPatchPodMetadataDefaultsAllowed =true", gate: SidecarSetPatchPodMetadataDefaultsAllowed, want: true,
		},
		"without agents there is nothing for them to do": {text: "KruiseDaemon=false,PodProbeMarkerGate=true", gate: PodProbeMarkerGate, want: false},
		"without agents nothing is pulled":               {text: "KruiseDaemon=false,PreDownloadImageForInPlaceUpdate=true", gate: ImagePullJobGate, want: false},
		"pre-download needs jobs":                        {text: "PreDownloadImageForInPlaceUpdate=true,ImagePullJobGate=false", gate: ImagePullJobGate, want: true},
		"annotations, by default":                        {text: "", gate: SidecarSetPatchPodMetadataDefaultsAllowed, want: false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(tt.text)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("Parse(%q) error = %v, want %q", tt.text, err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatalf("Parse(%q): %v", tt.text, err)
			}
			if got.Enabled(tt.gate) != tt.want {
				t.Errorf("%s = %t, want %t (%s)", tt.gate, got.Enabled(tt.gate), tt.want, got)
			}
		})
	}
}
