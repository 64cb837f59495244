// Package hungdisk has one disk of a node hang, be it for ever or for 20 seconds
// with each request, and looks at what becomes of the others. It runs the real
// program, on disks of package hang.
//
// There are three pools of a disk each, of which that of pool "c" hangs, and the
// pool "mixed", one of whose two disks hangs with it. Whatever happens,
//
//   - calls on the healthy disks, and what answers from memory, take at most a
//     second; only a creation in pool "mixed" may take longer, until it is known
//     which of its disks hangs;
//   - calls on the disk that hangs give up, within ten seconds when it begins to
//     hang and within one when that is known;
//   - once the disk answers again, all is well without a restart: calls succeed
//     when they are retried, each volume is there once, with its data, and
//     `hostdir check` finds nothing.
//
// Each time to begin to hang has its test:
//
//	before the program starts                TestHangsAtStart, TestNewDiskHangs
//	while it runs and volumes are published  TestHangsWhileRunning
//	while nobody calls for it                TestHangsUnused
//	while the configuration changes          TestReconfigured
//	in the middle of each call               TestHangsInTheMiddle
//	20 seconds with each request             TestSlow
//	under a storm of calls                   TestStorm
//	when the program is told to end          TestTerminated
//	while the program is killed and started  TestRestarts
package hungdisk
