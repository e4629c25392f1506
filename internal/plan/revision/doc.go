// Package revision answers which version of a SidecarSet or of a workload's template a spec is.
//
// A revision is a ControllerRevision. What it keeps (Identity) is written in one form, so that what means the same has
// the same name, whether the API server, OpenKruise or we wrote it:
//
//	a SidecarSet   five fields of its spec (sidecarset.go). Its name is made of all five; whether running Pods are
//	               concerned is told by hashes of the containers (hashes.go)
//	a workload     the template of its Pods (template.go)
//
// Which revisions are written, numbered anew and forgotten is the same for both, and in history.go.
//
// Start at Decide, and at WantedOf and WantedTemplate, which say what it is asked.
package revision
