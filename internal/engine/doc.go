// Package engine carries out plans: which writes are sent, in which order, how many at a time, and what is
// known of their effect.
//
// It knows verbs, not kinds: it never decides which unit gets a step. Start at Hands.Do. Ledger (ledger.go) is
// what makes a plan safe on a cache that lags behind; outcome.go says what each answer of the API server means;
// patch.go writes the one patch of a step; Reporter (report.go) writes an owner's status, events.go its events.
package engine
