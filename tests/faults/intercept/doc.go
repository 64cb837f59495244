// Package intercept stops the system calls of a program before they happen and
// lets a test decide what becomes of each: it happens, it fails, or the program
// is killed in its place.
//
// The program runs as it is, without a debugger and at nearly its own speed: a
// seccomp filter (seccomp_unotify(2)) hands the calls over, from all threads, one
// after the other. Calls that change nothing are not handed over. Which those are
// is written down in calls.go; any call that is not written down there is handed
// over too, as one that is not known, so that a test can refuse to go on.
package intercept
