// Package cloneset says what a CloneSet means.
//
// Validate lists what is wrong with one; start at validate.go.
package cloneset
