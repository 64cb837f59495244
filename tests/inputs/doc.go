// Package inputs gives the node plugin what it must refuse or make harmless:
// names that are paths, IDs that lead elsewhere, hostile volumes, damaged
// records. The real program answers over its socket, and after each call the
// disk is compared with what it was.
//
// The inputs by number, what each gets, and the test that shows it:
//
//	 1  name empty                          refused       TestCreateRefuses
//	 2  name of 129 bytes                   refused       TestCreateRefuses
//	 3  name ../../etc                      harmless      TestNamesAreMadeHarmless
//	 4  name with slash, newline, emoji     harmless      TestNamesAreMadeHarmless
//	 5  NUL or control character            refused       TestCreateRefuses
//	 6  invalid UTF-8                       gRPC error    TestInvalidUTF8
//	 7  delete of ../x                      OK, no-op     TestVolumeIDs
//	 8  ID of a disk that is elsewhere      FailedPrecondition  TestVolumeIDs
//	 9  ID equal to an internal name        OK, no-op     TestVolumeIDs
//	10  required above limit                OutOfRange    TestCreateRefuses
//	11  negative size                       refused       TestCreateRefuses
//	12  the largest size                    ResourceExhausted   TestCreateRefuses
//	13  same name, other size               AlreadyExists TestCreateAgainRefusesWhatDiffers
//	14  no capabilities                     refused       TestCreateRefuses
//	15  block or multi-node                 refused       TestCreateRefuses, TestPublishRefusesCapabilities
//	16  topology of another node            ResourceExhausted   TestCreateRefuses
//	17  unknown parameter                   refused       TestCreateRefuses
//	18  csi.storage.k8s.io/* in GetCapacity ignored       TestCapacityIgnoresWhatKubernetesAdds
//	19  parameter value /etc or ..          refused       TestCreateRefuses
//	20  mount flag suid or dev              refused       TestCreateRefuses, TestPublishRefusesFlags
//	21  target relative or outside          refused       TestTargetPathsRefused
//	22  target a symbolic link              refused       TestTargetPathsRefused
//	23  target not empty and not mounted    files kept    TestTargetHoldsFiles
//	24  volume replaced by a link           Internal      TestVolumeReplacedByLink
//	25  links, setuid, devices at delete    entries only  TestDeleteRemovesEntriesOnly
//	26  mount inside                        stops, retries      TestDeleteStopsAtMount
//	27  directories renamed during delete   stays inside  TestRenamesWhileDeleting, tests/hostile
//	28  a million files, 4000 levels        completes     TestDeleteManyFiles (with -long), TestDeleteDeepTree
//	29  immutable file                      error, metric, retry  TestDeleteImmutableFile
//	30  no space, descriptors, inodes       ResourceExhausted   TestNoDescriptors, tests/faultmatrix
//	31  publish while deleting              Aborted       TestPublishWhileDeleting, pkg/driver
//	32  record corrupt or newer             quarantine    TestDamagedRecords
package inputs
