package revision

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/validation"
	kjson "sigs.k8s.io/json"
)

// hashLength is how many characters of a hash are kept: 16 hex digits are 64 bits, so among a million
// versions of one owner two clash with a chance of about 1 in 37 million.
const hashLength = 16

// Identity tells a content from every other one.
type Identity struct {
	// Data is the content as a ControllerRevision keeps it.
	Data []byte
	// Hash is of the content in the order of its fields.
	Hash string
	// InName is the part of Hash that the name of a revision has.
	InName string
}

// asServed writes JSON with sorted keys, as the API server does. It compares the data of a revision byte by byte when the
// revision is patched: of another order, it would refuse every merge patch, also the garbage collector's, because "the
// data is immutable", and an owner deleted with --cascade=orphan would never go.
func asServed(raw []byte) ([]byte, error) {
	var content any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &content); err != nil {
		return nil, fmt.Errorf("sort the revision's data: %w", err)
	}
	sorted, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("sort the revision's data: %w", err)
	}
	return sorted, nil
}

// Owner is the object whose revisions they are.
type Owner struct {
	Name, UID string
	// Collisions is its status.collisionCount.
	Collisions *int32
}

// NameOf returns the name of the revision that has a content, or will have it when it is written.
func NameOf(owner Owner, identity Identity, h History) string {
	name, _ := owner.nameOf(identity, h)
	return name
}

// nameOf also returns the new status.collisionCount.
func (o Owner) nameOf(identity Identity, h History) (string, *int32) {
	if same, found := Equal(h.Of(o.UID), identity.Hash); found {
		return same.Name, o.Collisions
	}
	collisions := o.Collisions
	for name := Name(o.Name, identity.InName, collisions); ; name = Name(o.Name, identity.InName, collisions) {
		if !h.takes(name) {
			return name, collisions
		}
		next := int32(1)
		if collisions != nil {
			next = *collisions + 1
		}
		collisions = &next
	}
}

// Name returns the name of an owner's revision: of what its identity gives to the name or, after clashes of names, of
// that and their number (status.collisionCount).
//
//	Name("logtail", hash, nil)  logtail-<hash>
func Name(owner, hash string, collisions *int32) string {
	if collisions != nil && *collisions > 0 {
		hash = digest([]byte(hash+"/"+strconv.Itoa(int(*collisions))), len(hash))
	}
	return owner + "-" + hash
}

// Short returns what a revision's name adds to its owner's: what is behind the last "-".
func Short(name string) string { return name[strings.LastIndexByte(name, '-')+1:] }

// Label returns how a Pod's label names a revision: by its name, or by the short one when that is asked for, or when the
// name is too long for a label.
func Label(name string, short bool) string {
	if short || len(name) > validation.LabelValueMaxLength {
		return Short(name)
	}
	return name
}

// Names tells whether a Pod's label names a revision of the Pod's owner, in full or short.
func Names(label, name string) bool {
	return label != "" && Short(label) == Short(name)
}

// carried are the annotations that a revision takes over from its owner.
func carried(annotations map[string]string) map[string]string {
	own := map[string]string{}
	maps.Copy(own, annotations)
	delete(own, corev1.LastAppliedConfigAnnotation) // it is of another object
	return own
}

// digest is the hash of a text as it stands in names and annotations.
func digest(data []byte, length int) string {
	sum := sha256.Sum256(data)
	return rand.SafeEncodeString(hex.EncodeToString(sum[:])[:length])
}
