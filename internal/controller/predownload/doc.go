// Package predownload makes ImagePullJobs for the rollouts of CloneSets (gate PreDownloadImageForInPlaceUpdate), and deletes
// them when the rollout is over.
//
// It decides nothing: that is in internal/plan/predownload, from what the CloneSet's status says of its rollout. It is apart
// from the CloneSet's controller because a rollout never waits for it. Start at Reconcile.
package predownload
