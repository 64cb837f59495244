// Package load floods hostdir with calls: a thousand volumes at once, each
// request sent twice, over several connections, creations mixed with
// publications, expansions, figures, unpublications and deletions. In the middle
// the program is killed. At the end the disk, the records, the list of volumes and
// the mounts must agree with what was answered, and the memory it took must be
// bounded.
//
// Its HTTP port is flooded too: the metrics of twenty thousand volumes, asked for
// by clients that give up or do not read, must not take much memory, nor keep
// kubelet's probes waiting.
//
// The storm lasts some seconds, with -long two minutes.
package load
