// Package app is the root: flags become a Config, and a Config becomes a running manager.
//
// It is the only place where packages are wired together, so controllers.go and webhooks.go are THE lists of what
// runs. It decides nothing about workloads. Start at Run (manager.go).
package app
