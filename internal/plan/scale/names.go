package scale

import (
	"hash/fnv"
	"slices"
	"strings"
)

// The ids of Pods, as in <cloneset>-<id>: every id has idLength of these characters, which make no words and no two of
// which look alike.
const (
	alphabet = "bcdfghjklmnpqrstvwxz2456789"
	idLength = 5
	ids      = 27 * 27 * 27 * 27 * 27
	// stride has no divisor in common with ids, so k·stride takes all values; close to ids divided by the golden ratio,
	// it keeps the ids that follow each other apart.
	stride = 8_868_097
	// back undoes it: stride·back = 1 (mod ids).
	back = 11_854_459
)

// Sequence is the row of all ids in the order in which one owner uses them. It is another one for each owner, it is
// always the same for one, and no id comes twice. So whoever creates a Pod for the owner from the same observation
// (another manager, this one after a crash) gives it the same name, and the API server refuses the second.
//
//	place k ⇄ number (k·stride + offset) mod 27⁵ ⇄ five characters, the number's digits to base 27
type Sequence struct{ offset int }

// NewSequence returns the row of an owner, by its UID.
func NewSequence(ownerUID string) Sequence {
	h := fnv.New64a()
	_, _ = h.Write([]byte(ownerUID)) // never fails
	sum := h.Sum64()
	return Sequence{offset: int((sum ^ sum>>32) % ids)} //nolint:gosec // less than ids
}

// Next returns the n ids that follow those in use, in order. used are the ids of all that has one: Pods of any state,
// volume claims, names somebody wrote into a spec; what is no id of this alphabet cannot collide and is passed over.
//
// The row is a ring. Ids of one owner stand close together on it, so they end where the longest stretch of unused ones
// begins: there the next ones start. That is true after the row's end as before it, and among ids that somebody chose
// by chance. There are fewer than n only if nearly all 14 million are used.
func (s Sequence) Next(used []string, n int) []string {
	taken := s.places(used)
	next := make([]string, 0, max(0, min(n, ids-len(taken))))
	k := afterLongestGap(taken)
	for len(next) < cap(next) {
		if _, isTaken := slices.BinarySearch(taken, k); !isTaken {
			next = append(next, s.id(k))
		}
		k = (k + 1) % ids
	}
	return next
}

// places returns the places of the ids, each once, in order.
func (s Sequence) places(used []string) []int {
	places := make([]int, 0, len(used))
	for _, id := range used {
		if k, ok := s.place(id); ok {
			places = append(places, k)
		}
	}
	slices.Sort(places)
	return slices.Compact(places)
}

// afterLongestGap returns the place where the longest stretch of unused ones begins; of equal ones that after the
// largest place.
func afterLongestGap(taken []int) int {
	if len(taken) == 0 {
		return 0
	}
	last := taken[len(taken)-1]
	best, longest := (last+1)%ids, taken[0]+ids-last
	for i, k := range taken[1:] {
		if gap := k - taken[i]; gap > longest {
			best, longest = taken[i]+1, gap
		}
	}
	return best
}

// id returns the id at place k.
func (s Sequence) id(k int) string {
	var id [idLength]byte
	number := (k*stride + s.offset) % ids
	for i := idLength - 1; i >= 0; i-- {
		id[i] = alphabet[number%len(alphabet)]
		number /= len(alphabet)
	}
	return string(id[:])
}

// place is the inverse of id; false if it is no id of this alphabet.
func (s Sequence) place(id string) (int, bool) {
	if len(id) != idLength {
		return 0, false
	}
	number := 0
	for i := range len(id) {
		digit := strings.IndexByte(alphabet, id[i])
		if digit < 0 {
			return 0, false
		}
		number = number*len(alphabet) + digit
	}
	return (number + ids - s.offset) * back % ids, true
}
