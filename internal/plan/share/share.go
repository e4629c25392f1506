// Package share answers which of two versions the next Pod of an owner gets, so that a percentage of its Pods gets the
// old one: without chance, and exactly. It knows neither what the versions are nor how many Pods there are: an owner's
// balance is enough.
//
// Every Pod adds the percentage that is asked for when it is created to what the owner's Pods are owed of the old
// version. When half a Pod or more is owed, the Pod gets the old version, and the balance pays for it. With 90 % and a
// balance of 0:
//
//	Pod      1   2   3   4   5   6   7   8   9  10
//	owed    90  80  70  60  50  40 130 120 110 100
//	gets   old old old old old new old old old old
//	after  -10 -20 -30 -40 -50  40  30  20  10   0
//
// As a balance stays from -50 to 49, and so moves by less than 100, any row of an owner's Pods differs from the sum of
// the shares that were asked for by less than one Pod, also when the percentage changes on the way.
package share

import "hash/fnv"

// Balance is what an owner's Pods are owed of the old version, in hundredths of a Pod: -50 to 49.
type Balance int

// Start is the balance of an owner that had no Pods yet. It differs from owner to owner, evenly, so that the
// share is also right over many owners that have one Pod each: with 10 %, one of ten gets the old version.
func Start(set, owner string) Balance {
	h := fnv.New64a()
	_, _ = h.Write([]byte(set + "\x00" + owner)) // never fails
	sum := h.Sum64()
	return Balance((sum^sum>>32)%100) - 50 //nolint:gosec // less than 100
}

// Next tells whether the owner's next Pod gets the old version, and what the balance is after it. percent, 0 to 100,
// is how many of a hundred Pods are to get the old version.
func (b Balance) Next(percent int) (old bool, after Balance) {
	owed := b + Balance(percent)
	if owed >= 50 {
		return true, owed - 100
	}
	return false, owed
}
