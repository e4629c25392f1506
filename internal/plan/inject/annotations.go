package inject

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/outrigger-project/outrigger/api/apps/v1beta1"
	"github.com/outrigger-project/outrigger/internal/plan/inject/jsonview"
)

// ours tells whether an annotation is one that injection writes.
func ours(key string) bool {
	return key == v1beta1.SidecarSetHashAnnotation ||
		key == v1beta1.SidecarSetHashWithoutImageAnnotation ||
		key == v1beta1.SidecarSetInjectedListAnnotation ||
		key == v1beta1.SidecarSetWorkingHotUpgradeContainerAnnotation ||
		strings.HasPrefix(key, v1beta1.SidecarSetVersionAnnotationPrefix) ||
		strings.HasPrefix(key, v1beta1.SidecarSetVersionAltAnnotationPrefix)
}

// annotate records the sets and their versions, and writes what patchPodMetadata made of other annotations. What the Pod says already of other sets stays: it may come
// from an earlier injection.
func annotate(o *operations, p *pod, sets []*Set) error {
	annotations := p.metadata.Get("annotations")
	full, err := versions(annotations, v1beta1.SidecarSetHashAnnotation, sets, func(s *Set) []byte { return s.hash })
	if err != nil {
		return err
	}
	withoutImage, err := versions(annotations, v1beta1.SidecarSetHashWithoutImageAnnotation, sets, func(s *Set) []byte { return s.hashWithoutImage })
	if err != nil {
		return err
	}
	hot, err := hotAnnotations(annotations, sets)
	if err != nil {
		return err
	}
	written := make([]element, 0, 3+len(hot)+len(p.patched))
	written = append(written, element{v1beta1.SidecarSetHashAnnotation, full},
		element{v1beta1.SidecarSetHashWithoutImageAnnotation, withoutImage},
		element{v1beta1.SidecarSetInjectedListAnnotation, injectedList(annotations, sets)})
	written = append(written, hot...)
	for _, a := range p.patched {
		if a.changed {
			written = append(written, element{a.key, []byte(a.text)})
		}
	}
	slices.SortFunc(written, func(a, b element) int { return cmp.Compare(a.name, b.name) })
	writeAnnotations(o, p, written)
	return nil
}

// writeAnnotations adds annotations, sorted by name, to those that the Pod has, if it has any.
func writeAnnotations(o *operations, p *pod, written []element) {
	if p.metadata.Get("annotations").IsObject() {
		for _, a := range written {
			o.begin("add", "/metadata/annotations/", strings.ReplaceAll(a.name, "/", "~1"))
			o.buf = appendQuoted(o.buf, a.raw)
			o.end()
		}
		return
	}
	at, open, closing := "/metadata/annotations", "{", "}"
	if !p.metadata.IsObject() {
		at, open, closing = "/metadata", `{"annotations":{`, "}}"
	}
	o.begin("add", at, "")
	for _, a := range written {
		o.buf = append(append(append(o.buf, open...), '"'), a.name...)
		o.buf = appendQuoted(append(o.buf, `":`...), a.raw)
		open = ","
	}
	o.buf = append(o.buf, closing...)
	o.end()
}

// patched is an annotation that the sets give the Pod.
type patched struct {
	key, text string
	// has tells that there is one, changed that it is not as the Pod brought it.
	has, changed bool
}

// patchAnnotations works out, set by set in the order of injection, what patchPodMetadata makes of the Pod's
// annotations.
func (p *pod) patchAnnotations(sets []*Set) error {
	for _, s := range sets {
		for i := range s.annotations {
			patch := &s.annotations[i]
			a := p.toPatch(patch.Key)
			text, err := patch.Apply(a.text, a.has)
			if err != nil {
				return fmt.Errorf("metadata.annotations[%s]: SidecarSet %s is to merge into it (MergePatchJson): %w", patch.Key, s.Name, err)
			}
			a.changed = a.changed || !a.has || text != a.text
			a.text, a.has = text, true
		}
	}
	return nil
}

func (p *pod) toPatch(key string) *patched {
	for i := range p.patched {
		if p.patched[i].key == key {
			return &p.patched[i]
		}
	}
	now := p.metadata.Get("annotations").Get(key)
	p.patched = append(p.patched, patched{key: key, text: now.Text(), has: now != nil})
	return &p.patched[len(p.patched)-1]
}

// annotation returns an annotation's value as it is after the patch.
func (p *pod) annotation(key string) string {
	for i := range p.patched {
		if p.patched[i].key == key {
			return p.patched[i].text
		}
	}
	return p.metadata.Get("annotations").Get(key).Text()
}

// versions writes the map from SidecarSet to its version, sorted by name.
func versions(annotations jsonview.Value, key string, sets []*Set, version func(*Set) []byte) ([]byte, error) {
	entries := make([]element, 0, len(sets))
	for _, s := range sets {
		entries = append(entries, element{s.Name, version(s)})
	}
	earlier, err := earlierVersions(annotations.Get(key).Text())
	if err != nil {
		return nil, fmt.Errorf("metadata.annotations[%s]: %w", key, err)
	}
	for _, e := range earlier {
		if !slices.ContainsFunc(entries, func(known element) bool { return known.name == e.name }) {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b element) int { return cmp.Compare(a.name, b.name) })
	size := 2
	for _, e := range entries {
		size += len(e.name) + len(e.raw) + 4
	}
	buf := make([]byte, 0, size)
	for i, e := range entries {
		buf = append(buf, "{,"[min(i, 1)])
		buf = appendQuoted(buf, []byte(e.name))
		buf = append(append(buf, ':'), e.raw...)
	}
	return append(buf, '}'), nil
}

// earlierVersions reads what the annotation says of sets. The old form, a map from name to hash, becomes the
// new one.
func earlierVersions(text string) ([]element, error) {
	if text == "" {
		return nil, nil
	}
	v, err := jsonview.Parse([]byte(text))
	if err != nil || !v.IsObject() {
		return nil, fmt.Errorf("must be a JSON object from SidecarSet to its version, got %s", shortened(text))
	}
	var entries []element
	for name, version := range v.Fields() {
		e := element{name.Text(), version}
		switch {
		case version.IsString():
			e.raw, err = json.Marshal(v1beta1.SidecarSetUpgradeSpec{SidecarSetHash: version.Text(), SidecarSetName: e.name})
		case !version.IsObject():
			err = fmt.Errorf("%s: must be an object or a hash, got %s", e.name, shortened(string(version)))
		}
		if err != nil {
			return nil, err
		}
		entries = slices.DeleteFunc(entries, func(known element) bool { return known.name == e.name })
		entries = append(entries, e)
	}
	return entries, nil
}

// injectedList writes the sorted names of all injected sets.
func injectedList(annotations jsonview.Value, sets []*Set) []byte {
	var all []string
	for name := range strings.SplitSeq(annotations.Get(v1beta1.SidecarSetInjectedListAnnotation).Text(), ",") {
		all = append(all, strings.TrimSpace(name))
	}
	for _, s := range sets {
		all = append(all, s.Name)
	}
	slices.Sort(all)
	all = slices.DeleteFunc(slices.Compact(all), func(name string) bool { return name == "" })
	return []byte(strings.Join(all, ","))
}

// shortened quotes a text for a message.
func shortened(text string) string {
	if len(text) > 40 {
		text = text[:40] + "…"
	}
	return fmt.Sprintf("%q", text)
}
