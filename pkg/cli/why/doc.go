// Package why finds the one cause for which a claim, or a pod, waits: why it is
// Pending, not mounted, not growing or not deleted.
//
// Collect gathers a World with the rights of the person who asks, and notes what
// could not be looked at. Diagnose, which is pure, goes down the table of causes
// (causes.go) and returns the first that holds: what dominates stands first. Events
// are read as Kubernetes' components and hostdir write them (words.go); what nodes
// and objects say counts more.
package why
