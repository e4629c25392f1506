package app

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/outrigger-project/outrigger/internal/features"
	"github.com/outrigger-project/outrigger/internal/webhook"
)

// checks counts how often the API server is asked about a template.
type checks int

func (c *checks) Check(context.Context, string, []byte, string) (webhook.Checked, error) {
	*c++
	return webhook.Checked{Object: []byte(`{"template":{"spec":{"restartPolicy":"Always"}}}`)}, nil
}

func TestDefaultCloneSets_followsTheGate(t *testing.T) {
	const review = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","operation":"CREATE","object":` +
		`{"apiVersion":"apps.kruise.io/v1beta1","kind":"CloneSet","spec":{"selector":null,"template":{"spec":{}}}}}}`
	for text, want := range map[string]bool{"": true, "TemplateNoDefaults=true": false} {
		gates, err := features.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		var asked checks
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(review))
		r.Header.Set("Content-Type", "application/json")
		defaultCloneSets(Config{Features: gates}, &asked).ServeHTTP(w, r)
		if answer := w.Body.String(); !strings.Contains(answer, `"allowed":true`) || strings.Contains(answer, `"patch"`) != want || (asked > 0) != want {
			t.Errorf("with %q the API server is asked %d times and the answer is %s", text, asked, answer)
		}
	}
}
