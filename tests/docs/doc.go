// Package docs holds the pages below docs/tutorial and docs/how-to to what they show:
// their commands are run, in their order, on a real Kubernetes (build tag e2e), and what
// a page shows as their output is what they print. Only what is marked as run is run, and
// each other block of commands says why it is not:
//
//	<!-- run -->
//
//	    kubectl hostdir
//
//	<!-- not run: NAME is yours to fill in -->
//
//	    kubectl hostdir release pv/NAME
//
// `<!-- run after: COMMANDS -->` is what a page takes for granted: it is run before the
// block, and not seen by readers. `<!-- file: NAME -->` makes the block the file that a
// later command reads.
//
// A block of code is a file where it begins with `key:`, and otherwise commands. In a
// block that is fenced as `console` a command follows "$ ", and its output follows it;
// in any other there are commands alone.
//
// Output is compared by its words, so that the widths of columns do not count, and blank
// lines neither. `...` is any text, and on a line of its own any lines. Ages, times and
// names of nodes are any ages, times and names; a UUID is any, but always the same one.
//
// Without a cluster the tests hold that each block is marked, with a reason if it is not
// run, and that files, flags and values which commands name exist.
//
//	bin/cluster run -- go test -tags e2e -v ./tests/docs              # commands as well
//	bin/cluster run -- go test -tags e2e ./tests/docs -args -update   # pages get the output that there is
package docs
