// Package faultmatrix brings about what happens to nodes and disks, against the
// real program: filesystems that are full, break or become read-only, reboots,
// restarts, clocks that are wrong, quotas that are switched, nodes that come back
// empty.
//
// Each fault, what must hold, and the test that shows it:
//
//	kill -9 at each step of a call            the retry is the same volume    tests/faults
//	power cut at the same points              what was said is there          tests/powercut
//	kill in publish, unpublish, delete        the retry puts it right         tests/faults
//	no space on a full filesystem             ResourceExhausted, rolled back  TestFull
//	no inodes                                 ResourceExhausted, rolled back  TestFull
//	the disk quota of somebody else           ResourceExhausted, rolled back  TestFull
//	each of these while a volume is copied    ResourceExhausted, rolled back  TestFullCopy
//	a copy that does not fit into its limit   OutOfRange, rolled back         pkg/store TestCloneOverLimit
//	no descriptors                            ResourceExhausted, rolled back  tests/inputs TestNoDescriptors
//	no descriptors as a disk is read          read again, no quarantine       pkg/store TestScanWithoutDescriptors
//	each of these at each system call         rolled back, or Aborted         tests/faults
//	a disk that fails (EIO)                   no OK that is not true          TestBrokenDisk
//	pool read-only                            no room, delete errors          TestReadOnly
//	disk absent at boot                       nothing made up, delete errors  tests/inputs TestDiskAbsentAtBoot
//	disk that hangs, for ever or for a time   the others serve, it returns    tests/hungdisk
//	disk unmounted and back                   the same                        tests/inputs TestDiskUnmounted
//	disk replaced by another                  nothing written                 tests/inputs TestDiskReplaced
//	directory of a glob gone and back         absent, then as before          TestGlob
//	quotas switched off and on                no call fails, limits return    TestQuotasSwitched
//	reboot                                    published again, data intact    TestReboot
//	restart of the program under load         pods do not notice              TestRestartUnderLoad
//	restart of sidecar and kubelet            pods do not notice              tests/e2e
//	1000 creations, each sent twice           unique, bounded memory          tests/load
//	restart before the first count            room and trash stay             TestRestartBeforeFirstCount
//	twenty kills while a pod writes           the same, at 10, 50 and 85 %    TestRoomAcrossKills
//	two processes on one disk                 the second waits its turn       TestTwoProcesses
//	clock a year ahead or behind              nothing changes                 TestClock
//	boot with a clock a year ahead            nothing purged for its age      TestClockAhead
//	record of a newer version                 that volume alone is refused    tests/inputs TestDamagedRecords
//	node added again with an empty disk       its volumes are not here        TestNodeAddedAgain
//	disk formatted anew at each boot          with initEmpty used, else not   TestFormattedAtBoot
//	the same, and it fails                    no new disk until repaired      TestFormattedDiskFails
//	node cloned with its disk                 told; emptied, one of its own   TestNodeCloned
//	two clusters on one disk                  the second waits                TestTwoClusters
//	API server down                           nothing to notice               all tests but tests/e2e run without one;
//	                                                                          tests/architecture bans its client
package faultmatrix
