// Package disk answers which disk is at a path, and whether it may be used.
//
// A disk is one directory with a marker, disk.json, on one filesystem. Look
// probes a path, History remembers what a node has seen at its paths before, and
// Decide weighs both: an absent disk is never mistaken for an empty one, an
// exchanged disk or a copy never used without a person's word. Decide is a
// function of values alone. What a person may decide is an Action.
//
// The package knows nothing of volumes: package store builds on it.
package disk
