// Package config reads what the administrator wrote: the configuration file with
// the pools of every node, and the parameters of StorageClasses.
//
// It checks all of it, and says in which field something is wrong. It knows
// neither disks nor volumes.
package config
