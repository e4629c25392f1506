// Package engine carries out plans: which writes are sent, in which order, how many at a time, and what is
// known of their effect.
//
// It knows verbs, not kinds: it never decides which unit gets a step. Start at Hands.Do. A controller calls, in this
// order: Look, then Marks or PodMarks, Births and MarkRevisions for its observation, Do with the plan it made, and Next
// to know when to come again.
//
// requests.go says which requests a step is, patch.go what a JSON patch tests and writes, writable.go what a verb may
// ask for; carry.go sends them; outcome.go says what each answer of the API server means. Ledger (ledger.go) is what
// makes a plan safe on a cache that lags behind, BirthLedger (births.go) the same for what has no UID yet. Reporter
// (report.go) writes an owner's status; events.go and workload_events.go are its events.
package engine
