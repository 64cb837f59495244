package store

import "time"

// Calls on disks have goroutines of their own (see calls). One that has ended a call waits a
// while for the next: its stack has grown already, which takes a good part of a short call.

// workerPatience is how long it waits.
const workerPatience = 10 * time.Second

var idleWorkers = make(chan func())

// goWarm is the go statement, with a goroutine that waits if there is one.
func goWarm(f func()) {
	select {
	case idleWorkers <- f:
	default:
		go work(f)
	}
}

func work(f func()) {
	for {
		f()
		select {
		case f = <-idleWorkers:
		case <-time.After(workerPatience):
			return
		}
	}
}
