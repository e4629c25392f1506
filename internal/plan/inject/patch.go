package inject

import (
	"slices"
	"strconv"
)

// operations writes a JSON patch.
type operations struct{ buf []byte }

// begin opens an operation up to its value.
func (o *operations) begin(op, path, rest string) {
	if len(o.buf) == 0 {
		o.buf = append(o.buf, '[')
	} else {
		o.buf = append(o.buf, ',')
	}
	o.buf = append(o.buf, `{"op":"`...)
	o.buf = append(o.buf, op...)
	o.buf = append(o.buf, `","path":"`...)
	o.buf = append(o.buf, path...)
	o.buf = append(o.buf, rest...)
	o.buf = append(o.buf, `","value":`...)
}

func (o *operations) end() { o.buf = append(o.buf, '}') }

// done returns the patch, nil without operations.
func (o *operations) done() []byte {
	if len(o.buf) == 0 {
		return nil
	}
	return append(o.buf, ']')
}

// place puts containers into a list: one whose name is there already in its place, the others in front or
// behind, each group in the given order.
func (o *operations) place(list string, present []string, p *pod, sidecars []*container) {
	var before, after []*container
	for _, c := range sidecars {
		i := slices.Index(present, c.name)
		switch {
		case i >= 0:
			o.begin("replace", list, "/"+strconv.Itoa(i))
			o.buf = c.append(o.buf, p)
			o.end()
		case c.before:
			before = append(before, c)
		default:
			after = append(after, c)
		}
	}
	if len(present) == 0 {
		all := slices.Concat(before, after)
		o.create(list, len(all), func(i int) { o.buf = all[i].append(o.buf, p) })
		return
	}
	for i, c := range before {
		o.begin("add", list, "/"+strconv.Itoa(i))
		o.buf = c.append(o.buf, p)
		o.end()
	}
	for _, c := range after {
		o.begin("add", list, "/-")
		o.buf = c.append(o.buf, p)
		o.end()
	}
}

// create adds a list that is not there, empty or null, unless it stays empty.
func (o *operations) create(list string, n int, element func(i int)) {
	if n == 0 {
		return
	}
	o.begin("add", list, "")
	for i := range n {
		o.buf = append(o.buf, "[,"[min(i, 1)])
		element(i)
	}
	o.buf = append(o.buf, ']')
	o.end()
}

// addMissing appends to a list the elements whose names are not in it.
func addMissing(o *operations, list string, present []string, wanted []element) {
	missing := wanted[:0:0]
	for _, e := range wanted {
		if !slices.Contains(present, e.name) && !slices.ContainsFunc(missing, func(m element) bool { return m.name == e.name }) {
			missing = append(missing, e)
		}
	}
	if len(present) == 0 {
		o.create(list, len(missing), func(i int) { o.buf = append(o.buf, missing[i].raw...) })
		return
	}
	for _, e := range missing {
		o.begin("add", list, "/-")
		o.buf = append(o.buf, e.raw...)
		o.end()
	}
}

func volumesOf(sets []*Set) []element {
	var all []element
	for _, s := range sets {
		all = append(all, s.volumes...)
	}
	return all
}

func secretsOf(sets []*Set) []element {
	var all []element
	for _, s := range sets {
		all = append(all, s.secrets...)
	}
	return all
}

// patchSize guesses generously how long the patch becomes, so that it is seldom moved while it grows.
func patchSize(sets []*Set) int {
	n := 1024
	for _, s := range sets {
		n += 256 + 2*len(s.hash) + 2*len(s.hashWithoutImage)
		for _, list := range [...][]container{s.containers, s.initContainers} {
			for _, c := range list {
				n += 512 + len(c.head) + len(c.env) + len(c.mounts) + len(c.devices)
			}
		}
		for i := range s.annotations {
			n += 64 + len(s.annotations[i].Key) + 2*s.annotations[i].Size()
		}
		for _, list := range [...][]element{s.volumes, s.secrets} {
			for _, e := range list {
				n += 64 + len(e.raw)
			}
		}
	}
	return n
}
