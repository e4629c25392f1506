package sidecarset_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/kind/sidecarset"
)

func annotated(setLabels map[string]string, keys ...string) *v1beta1.SidecarSet {
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: "s", Labels: setLabels}}
	for _, key := range keys {
		set.Spec.PatchPodMetadata = append(set.Spec.PatchPodMetadata, v1beta1.SidecarSetPatchPodMetadata{Annotations: map[string]string{key: "v"}})
	}
	return set
}

func TestWhitelist(t *testing.T) {
	team := map[string]string{"team": "a"}
	const forTeam = `{"rules":[{"selector":{"matchLabels":{"team":"a"}},"allowedAnnotationKeyExprs":["^oom-score$","example"]}]}`
	const where = "ConfigMap kruise-system/kruise-configuration, key SidecarSet_PatchPodMetadata_WhiteList"
	tests := map[string]struct {
		text string
		gate bool
		set  *v1beta1.SidecarSet
		want string // "" allowed
	}{
		"nothing, gate off":                      {"", false, annotated(team, "a"), "spec.patchPodMetadata: Forbidden: no rule of the whitelist of annotations (" + where + ") is for this SidecarSet, and the feature gate"},
		"nothing, gate on":                       {"", true, annotated(team, "a"), ""},
		"no rules, gate off":                     {"{}", false, annotated(team, "a"), "no rule"},
		"no rules, gate on":                      {"{}", true, annotated(team, "a"), ""},
		"allowed":                                {forTeam, false, annotated(team, "oom-score", "x.example.com/y"), ""},
		"one is not allowed":                     {forTeam, false, annotated(team, "oom-score", "oom-scores"), "spec.patchPodMetadata[1].annotations[oom-scores]: Forbidden: no rule of the whitelist (" + where + ") that is for this SidecarSet allows the key"},
		"one is not allowed, whatever the gate":  {forTeam, true, annotated(team, "oom-scores"), "annotations[oom-scores]"},
		"a rule for others, gate off":            {forTeam, false, annotated(nil, "oom-score"), "no rule of the whitelist of annotations"},
		"a rule for others, gate on":             {forTeam, true, annotated(nil, "anything"), ""},
		"no selector: for all":                   {`{"rules":[{"allowedAnnotationKeyExprs":["^a$"]}]}`, false, annotated(nil, "a"), ""},
		"null selector: for all":                 {`{"rules":[{"selector":null,"allowedAnnotationKeyExprs":["^a$"]}]}`, true, annotated(nil, "b"), "annotations[b]"},
		"empty selector: for all":                {`{"rules":[{"selector":{},"allowedAnnotationKeyExprs":["^a$"]}]}`, true, annotated(nil, "b"), "annotations[b]"},
		"a rule that allows nothing":             {`{"rules":[{}]}`, true, annotated(nil, "b"), "annotations[b]"},
		"of two rules either":                    {`{"rules":[{"allowedAnnotationKeyExprs":["^a$"]},{"allowedAnnotationKeyExprs":["^b$"]}]}`, false, annotated(nil, "a", "b"), ""},
		"bad JSON":                               {`{"rules":`, true, annotated(team, "a"), "the whitelist of annotations is malformed (" + where + "): not the JSON that it must be"},
		"another type":                           {`{"rules":{}}`, true, annotated(team, "a"), "not the JSON that it must be"},
		"a misspelt word":                        {`{"rules":[{"selectors":{}}]}`, true, annotated(team, "a"), `unknown field "rules[0].selectors"`},
		"a bad expression":                       {`{"rules":[{"allowedAnnotationKeyExprs":["a","("]}]}`, true, annotated(team, "a"), "rules[0].allowedAnnotationKeyExprs[1]: error parsing regexp"},
		"a bad expression in a rule for others":  {`{"rules":[{},{"selector":{"matchLabels":{"x":"y"}},"allowedAnnotationKeyExprs":["a","("]}]}`, true, annotated(team, "a"), "rules[1].allowedAnnotationKeyExprs[1]"},
		"an expression that would take for ever": {`{"rules":[{"allowedAnnotationKeyExprs":["((a{1000}){1000}){1000}"]}]}`, true, annotated(team, "a"), "invalid repeat count"},
		"a bad selector":                         {`{"rules":[{"selector":{"matchExpressions":[{"key":"a","operator":"near"}]}}]}`, true, annotated(team, "a"), "rules[0].selector"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := sidecarset.Whitelist{Text: test.text, Namespace: "kruise-system", DefaultsAllowed: test.gate}
			errs := w.Allows(test.set)
			if (len(errs) > 0) != (test.want != "") || len(errs) > 0 && !strings.Contains(errs.ToAggregate().Error(), test.want) {
				t.Errorf("Allows() = %v\nwant %s", errs, test.want)
			}
		})
	}
}

func TestNeedsWhitelist(t *testing.T) {
	set := annotated(map[string]string{"team": "a"}, "k")
	unrelated := set.DeepCopy()
	unrelated.Spec.Containers = []v1beta1.SidecarContainer{{}}
	unrelated.Annotations = map[string]string{"a": "b"}
	value := set.DeepCopy()
	value.Spec.PatchPodMetadata[0].Annotations["k"] = "w"
	tests := map[string]struct {
		set, old *v1beta1.SidecarSet
		want     bool
	}{
		"new":                 {set, nil, true},
		"new, gives nothing":  {annotated(nil), nil, false},
		"the same":            {set, set, false},
		"something unrelated": {unrelated, set, false},
		"another value":       {value, set, true},
		"another key":         {annotated(set.Labels, "l"), set, true},
		"one key less":        {annotated(set.Labels), set, false},
		"first annotation":    {set, annotated(set.Labels), true},
		"another label":       {annotated(nil, "k"), set, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := sidecarset.NeedsWhitelist(test.set, test.old); got != test.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

// FuzzWhitelist: whatever an administrator writes, nothing panics, and what cannot be read allows nothing.
func FuzzWhitelist(f *testing.F) {
	f.Add(`{"rules":[{"selector":{"matchLabels":{"team":"a"}},"allowedAnnotationKeyExprs":["^oom-score$"]}]}`, "oom-score")
	f.Add(`{"rules":[{"selector":{"matchExpressions":[{"key":"team","operator":"In","values":["a"]}]},"allowedAnnotationKeyExprs":["(x+x+)+y"]}]}`, "xxxxxxxx")
	f.Add(`{"rules":[{"allowedAnnotationKeyExprs":["[[:word:]]{1,1000}","\\pL"]},null]}`, "a")
	f.Add(`{"rules":null} `, "")
	f.Fuzz(func(t *testing.T, text, key string) {
		set := annotated(map[string]string{"team": "a"}, key)
		closed := sidecarset.Whitelist{Text: text}.Allows(set)
		open := sidecarset.Whitelist{Text: text, DefaultsAllowed: true}.Allows(set)
		if len(closed) < len(open) {
			t.Fatalf("the gate takes something away: %v", open)
		}
		if malformed := len(open) > 0 && strings.Contains(open[0].Error(), "malformed"); malformed && len(closed) == 0 {
			t.Fatal("allowed by what cannot be read")
		}
	})
}
