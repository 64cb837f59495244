// Package bench measures hostdir against the bare filesystem below it. Compare
// within one run: machines differ, ratios less so.
//
//	make bench
package bench
