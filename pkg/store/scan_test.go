package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestScanWithoutDescriptors reads a disk while the process runs out of descriptors,
// at each place where it can. The disk comes into use whole or not at all: no volume
// is put into quarantine, and nobody's room is given away.
func TestScanWithoutDescriptors(t *testing.T) {
	const volumes = 3
	base := mountTmpfs(t, "size=16m")
	before := openStore(t, onePool(base))
	for i := range volumes {
		req := request(fmt.Sprintf("pvc-%d", i))
		req.Claim = Claim{"shop", fmt.Sprintf("www-web-%d", i)}
		mustCreate(t, before, req)
	}
	want := before.Capacity(defaultClass)
	refused := 0
	for spare := range 16 {
		s := openAgain(t, before)
		enough := limitDescriptors(t, spare)
		s.Look(t.Context())
		enough()
		status := onlyStatus(t, s)
		if status.Err == nil {
			for _, v := range s.Volumes() {
				if v.Quarantine != nil {
					t.Errorf("with %d descriptors: %s is in quarantine: %v", spare, v.ID, v.Quarantine)
				}
			}
			if status.Volumes != volumes {
				t.Errorf("with %d descriptors: %d volumes, want %d", spare, status.Volumes, volumes)
			}
			wantAbout(t, "capacity", s.Capacity(defaultClass).AvailableBytes, want.AvailableBytes)
			continue
		}
		refused++
		if c := s.Capacity(defaultClass); c != (Capacity{}) {
			t.Errorf("with %d descriptors: capacity %+v of a disk that is not in use", spare, c)
		}
		s.Look(t.Context())
		if status := onlyStatus(t, s); status.Err != nil || status.Volumes != volumes {
			t.Errorf("with %d descriptors, and then with enough: %d volumes, %v", spare, status.Volumes, status.Err)
		}
	}
	if refused < 3 || refused == 16 {
		t.Errorf("the disk was refused %d times of 16: the test proves nothing", refused)
	}
	wantNames(t, filepath.Join(base, trashDir))
}

// openAgain is reopen before any disk is looked at.
func openAgain(t *testing.T, s *Store) *Store {
	t.Helper()
	again, err := Open(t.Context(), s.node, s.configFile, s.history.File())
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// limitDescriptors leaves the process that many descriptors until restore is called.
func limitDescriptors(t *testing.T, spare int) (restore func()) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	// The limit is on the number that a descriptor gets: fill the gaps.
	var fill []*os.File
	restore = func() {
		for _, f := range fill {
			f.Close()
		}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Fatal(err)
		}
	}
	highest := 0
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range open {
		n := 0
		fmt.Sscan(entry.Name(), &n)
		highest = max(highest, n)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(highest + 1), Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	for {
		f, err := os.Open("/")
		if err != nil {
			break
		}
		fill = append(fill, f)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(highest + 1 + spare), Max: was.Max}); err != nil {
		restore()
		t.Fatal(err)
	}
	return restore
}

// TestQuarantineEnds takes a volume out of quarantine once its record can be read,
// as after an error of the disk that passed.
func TestQuarantineEnds(t *testing.T) {
	base := mountTmpfs(t, "size=16m")
	s := openStore(t, onePool(base))
	v := mustCreate(t, s, request("pvc-1"))
	writeFile(t, filepath.Join(v.Path, "file"), string(make([]byte, 3*mebibyte)))
	want := s.Capacity(defaultClass)
	record := filepath.Join(filepath.Dir(v.Path), recordFile)
	good, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, record, "{")
	s = reopen(t, s)
	if s.Volumes()[0].Quarantine == nil {
		t.Fatal("the volume is not in quarantine")
	}
	// What it holds is nobody's to be given, though its capacity is not known.
	if c := s.Capacity(defaultClass); c.AvailableBytes > 13*mebibyte {
		t.Errorf("capacity %+v, with 3 of 16 MiB held", c)
	}
	if err := s.WithData(t.Context(), v.ID, anyUse); err == nil {
		t.Error("a volume in quarantine is published")
	}
	s.countAll(t.Context())
	if s.Volumes()[0].Quarantine == nil {
		t.Error("it is out of quarantine with its record broken")
	}

	writeFile(t, record, string(good))
	s.countAll(t.Context())
	if v := s.Volumes()[0]; v.Quarantine != nil || v.CapacityBytes != mebibyte {
		t.Fatalf("the volume is %+v", v)
	}
	only(t, s).walk(t.Context())
	if c := s.Capacity(defaultClass); c.AvailableBytes < want.AvailableBytes-3*mebibyte-mebibyte/4 {
		t.Errorf("capacity %+v, it was %+v", c, want)
	}
	if err := s.WithData(t.Context(), v.ID, anyUse); err != nil {
		t.Error(err)
	}
}
