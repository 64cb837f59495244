//go:build e2e

package e2e

import (
	"flag"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	// Tests wait for kubelets most of the time, so more of them run at once
	// than the machine has processors. -test.parallel on the command line wins.
	flag.Set("test.parallel", "4")
	os.Exit(m.Run())
}

// A promise is what a test holds hostdir to.
type promise struct {
	words string
	test  func(*test)
}

// Promises that do not disturb each other.
var together = []promise{
	{"a StatefulSet's claims bind without a hand-written volume", statefulSetBinds},
	{"a deleted pod comes back on its node with its data", deletedPodComesBack},
	{"replicas find their old data after scaling down and up", scaledReplicasFindTheirData},
	{"a deleted claim takes volume and directory with it", deletedClaimTakesDirectory},
	{"a retained volume keeps its data until it may be deleted", retainedVolumeKeepsData},
	{"a claim deleted by mistake comes back with its data", mistakenDeletionIsUndone},
	{"a StatefulSet finds the data of a claim deleted under it", replicaFindsUndeletedData},
	{"volumes that Kubernetes has forgotten come back with their claims and data", lostVolumesAreRebuilt},
	{"a StatefulSet that was deleted with its claims finds its data, ten times", deletedSetFindsItsData},
	{"a replica that was placed away from its volume is made anew where that is", misplacedReplicaIsMadeAnew},
	{"data outlives persistentVolumeClaimRetentionPolicy Delete in a class that reuses", retentionPoliciesKeepData},
	{"a claim deleted and made again at once finds its data", hastyClaimFindsItsData},
	{"a generic ephemeral volume goes with its pod", ephemeralVolumeGoesWithPod},
	{"a pod with a nodeSelector has its directory on that node", nodeSelectorDecides},
	{"a claim of an Immediate class binds without a pod", immediateClassBinds},
	{"a claim that hostdir cannot satisfy says why", refusedClaimsSayWhy},
	{"a ReadWriteOncePod claim lets one pod run at a time", oncePodClaimAdmitsOnePod},
	{"two pods of one node share a claim", podsShareClaim},
	{"pods that are not root can write", podsWithoutRootWrite},
	{"a class's mode and owner reach the directory", classDecidesOwnership},
	{"volumes are mounted nosuid and nodev, and read-only where asked", mountOptionsHold},
	{"the plugin holds no credentials of Kubernetes", pluginHoldsNoCredentials},
	{"the plugin answers health checks", pluginAnswersHealthChecks},
	{"kubelet reports the volumes' sizes", kubeletReportsSizes},
	{"why names what is wrong with what a claim asks for", whyNamesWhatClaimsAskFor},
	{"why names what a pod and a deleted claim wait for", whyNamesWhatPodsWaitFor},
	{"why names what became of a volume", whyNamesWhatBecameOfVolumes},
	{"a StatefulSet's claims and template are resized, and its pods run on", statefulSetIsResized},
	{"volumes that no claim has are released into the trash", volumesAreReleased},
	{"claims are renamed, and moved to another namespace, with their data", claimsAreRenamed},
	{"a snapshot of a volume is restored on its node with its data", snapshotIsRestored},
	{"a snapshot comes back by its handle", snapshotComesBack},
	{"ten claims without a pod are restored at once where the snapshot is", bareClaimsAreRestored},
	{"a claim is cloned on its node with its data", claimIsCloned},
	{"snapshots are made each night, and old ones deleted", snapshotsArePruned},
	{"kubectl hostdir shows a claim, its path and what is in it", pluginShowsClaims},
	{"people look and mend with the roles of the chart", peopleUseTheirRoles},
	{"an import that is killed at each step goes on, and so does its undoing", importsAreKilled},
	{"helm test makes, writes and deletes a volume", helmTestPasses},
	{"the rendered manifests are what the API server takes", manifestsAreTaken},
}

// Promises whose tests take nodes or plugins away, or need the whole cluster.
var alone = []promise{
	{"thirty replicas at once bind on both nodes", thirtyReplicasBind},
	{"claims bind while hostdir-controller is down", bindsWithoutController},
	{"ten replicas are deleted with their claims quickly and without a Warning", deletedSetIsQuick},
	{"a namespace that is made anew inherits nothing", newNamespaceInheritsNothing},
	{"hand-written volumes become hostdir's by a rename, and again what they were", handWrittenVolumesMove},
	{"local-path-provisioner's volumes become hostdir's with all that they hold, and again what they were", localPathVolumesMove},
	{"writes go on while plugin and kubelet restart", writesGoOn},
	{"an import goes on after hostdir was killed under it at each step, and so does its undoing", pluginIsKilled},
	{"the plugin registers again when its registration is removed", pluginRegistersAgain},
	{"pods run again with their data after a power cut of their node", powerCutKeepsData},
	{"why names what of hostdir is down", whyNamesWhoIsDown},
	{"why names what is wrong with a node", whyNamesWhatIsWrongWithANode},
	{"a second pool serves its disks as they are mounted", secondPoolServesDisks},
	{"a bad configuration changes nothing", badConfigurationChangesNothing},
	{"hostdir check finds nothing wrong", checkFindsNothing},
	{"nothing is left on the nodes", nothingIsLeft},
	{"uninstalling leaves no claim held and no volume reserved", uninstallingHoldsNoClaim},
	{"uninstalling leaves data that a new installation serves", uninstallLeavesData},
}

// Promises about sizes that are enforced, each with the pool "limited" for itself.
var limited = []promise{
	{"Prometheus scrapes all, the dashboards have data and no alert is near", prometheusSeesAll},
	{"a pod that fills its claim leaves its neighbour alone", fullVolumeLeavesNeighbour},
	{"a claim too large for one node lands on another", largeClaimFindsNode},
	{"a claim too large for all nodes waits and says so", tooLargeClaimSaysSo},
	{"why names the claim that ties a pod to a full node", whyNamesWhoTiesThePod},
	{"the scheduler's figures follow claims that come and go", roomFollowsClaims},
	{"a StatefulSet's claim grows under its writer", claimGrowsUnderWriter},
	{"an expansion that no disk can hold is reported and taken back", tooLargeExpansionIsTakenBack},
	{"kubelet reports the claim's size and use, not the disk's", kubeletReportsUse},
	{"hand-written volumes are copied into volumes that are limited, and again what they were", handWrittenVolumesAreCopied},
	{"an import that copies and is killed at each step goes on, and so does its undoing", copiesAreKilled},
	{"an import that copies goes on after hostdir was killed under it at each step, and so does its undoing", pluginIsKilledCopying},
	{"hostdir check finds nothing wrong", checkFindsNothing},
	{"nothing is left on the disks", nothingLimitedIsLeft},
}

// Promises about disks that go away and come back: those of the pools "guarded" and "unguarded".
var departed = []promise{
	{"a disk can be unmounted and mounted again, under pods and without", idleDiskMayGo},
	{"nothing is lost while a disk is away under a StatefulSet", absentDiskLosesNothing},
	{"nothing is lost either where requireMountPoint was forgotten", forgottenMountPointLosesNothing},
	{"why names what is wrong with a disk", whyNamesWhatIsWrongWithADisk},
	{"why names what is rare", whyNamesWhatIsRare},
	{"hostdir check finds nothing wrong", checkFindsNothing},
}

func TestHostdir(t *testing.T) {
	c := connect(t)
	t.Run("the version before is upgraded under its writers, and brought back", func(t *testing.T) { previousIsUpgraded(t, c) })
	c.install(t)
	t.Run("together", func(t *testing.T) {
		for _, p := range together {
			t.Run(p.words, func(t *testing.T) {
				t.Parallel()
				p.test(begin(t, c))
			})
		}
	})
	t.Run("hostdir check finds nothing wrong", func(t *testing.T) { checkFindsNothing(begin(t, c)) })
	t.Run("kubectl hostdir says that all is well", func(t *testing.T) { overviewIsWell(begin(t, c)) })
	t.Run("limited", func(t *testing.T) {
		c.installLimited(t)
		for _, p := range limited {
			t.Run(p.words, func(t *testing.T) { p.test(begin(t, c)) })
		}
	})
	t.Run("departed", func(t *testing.T) {
		c.installDisks(t)
		for _, p := range departed {
			t.Run(p.words, func(t *testing.T) { p.test(begin(t, c)) })
		}
	})
	t.Run("lost", func(t *testing.T) {
		c.installNodeLoss(t)
		for _, p := range lost {
			t.Run(p.words, func(t *testing.T) { p.test(begin(t, c)) })
		}
	})
	t.Run("alone", func(t *testing.T) {
		for _, p := range alone {
			t.Run(p.words, func(t *testing.T) { p.test(begin(t, c)) })
		}
	})
}
