package inject

import (
	"fmt"
	"path"
	"strings"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
)

const injectedEnv = v1beta1.InjectedEnv

// source says which container variables are copied from: a name, or a field of the Pod that holds the name.
type source struct {
	name string
	// section is name, labels or annotations of the Pod's metadata, key the label's or annotation's.
	section, key string
}

// sourceOf reads sourceContainerName and sourceContainerNameFrom.
func sourceOf(t *v1beta1.TransferEnvVar) (source, error) {
	if t.SourceContainerNameFrom == nil || t.SourceContainerNameFrom.FieldRef == nil {
		return source{name: t.SourceContainerName}, nil
	}
	at := t.SourceContainerNameFrom.FieldRef.FieldPath
	if at == "metadata.name" {
		return source{section: "name"}, nil
	}
	for _, section := range []string{"labels", "annotations"} {
		rest, ok := strings.CutPrefix(at, "metadata."+section+"['")
		key, closed := strings.CutSuffix(rest, "']")
		if ok && closed && key != "" && !ours(key) {
			return source{section: section, key: key}, nil
		}
	}
	return source{}, fmt.Errorf("sourceContainerNameFrom.fieldRef.fieldPath: %q: must be metadata.name, metadata.labels['KEY'] or metadata.annotations['KEY'], and no annotation of our bookkeeping", at)
}

// find returns the Pod's own container that is meant. A Pod without it, or whose field does not name one, is
// not at fault: the variables are left out.
func (s source) find(p *pod) (app, bool) {
	name := s.name
	switch s.section {
	case "name":
		name = p.metadata.Get("name").Text()
	case "labels":
		name = p.metadata.Get(s.section).Get(s.key).Text()
	case "annotations":
		name = p.annotation(s.key)
	}
	for _, a := range p.apps {
		if a.name == name {
			return a, true
		}
	}
	return app{}, false
}

// clean makes paths comparable: /var/log/ is /var/log.
func clean(p string) string { return path.Clean(p) }

// references lists the variables that a text names as $(VAR). As in Kubernetes, $$ is a plain dollar sign.
//
//	a$(POD)/$$(NOT)/$(B)  names POD and B
func references(text string) []string {
	var all []string
	for {
		i := strings.IndexByte(text, '$')
		if i < 0 || i+1 == len(text) {
			return all
		}
		operand := text[i+1]
		text = text[i+2:]
		if operand != '(' {
			continue
		}
		name, rest, closed := strings.Cut(text, ")")
		if !closed {
			return all
		}
		all = append(all, name)
		text = rest
	}
}
