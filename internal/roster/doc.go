// Package roster keeps what is known of the Pods of owners up to date at the price of what changed.
//
// The watch only leaves the names of Pods that changed (Inboxes.Note). A look takes them (Inboxes.Take), reads those
// Pods from the cache, and writes their records into the owner's Roster, which only the look touches: so a look costs
// what changed, an event never waits for a look, and a Pod that changed five times in between is read once, at its
// newest.
//
// The package does not know what a record is made of, nor of whom. Start at Inboxes.
package roster
