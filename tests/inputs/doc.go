// Package inputs gives the node plugin what it must refuse or make harmless:
// names that are paths, IDs that lead elsewhere, hostile volumes, damaged
// records. The real program answers over its socket, and after each call the
// disk is compared with what it was.
package inputs
