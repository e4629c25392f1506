// Package imagelistpulljob carries ImageListPullJobs out: it makes and deletes their ImagePullJobs and sums up what becomes
// of them.
//
// It decides nothing: that is in internal/kind/imagelistpulljob. Start at Reconcile.
package imagelistpulljob
