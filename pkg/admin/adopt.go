package admin

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/store"
)

// Adoptable is a volume with what a PersistentVolume needs to adopt it.
type Adoptable struct {
	ID   string `json:"id"`
	Path string `json:"path"`
	// PersistentVolume is the name of the one that it was made for.
	PersistentVolume string `json:"persistentVolume"`
	// Claim is the PersistentVolumeClaim that it was made for, nil if that is not
	// known. It may have been bound to another one since.
	Claim         *store.Claim `json:"claim,omitempty"`
	CapacityBytes int64        `json:"capacityBytes"`
	MountOptions  []string     `json:"mountOptions,omitempty"`
	// Attributes are those of the PersistentVolume's CSI source.
	Attributes map[string]string `json:"attributes,omitempty"`
	// Warnings are what a person has to know before it is adopted.
	Warnings   []string          `json:"warnings,omitempty"`
	Driver     string            `json:"driver"`
	NodeLabels map[string]string `json:"nodeLabels"`
}

// Adoptables is the answer to POST /volumes/pv.
type Adoptables struct {
	Volumes []Adoptable `json:"volumes"`
	// LeftOut says of each volume that is none of them why.
	LeftOut []string `json:"leftOut,omitempty"`
}

// Adoptables asks what the PersistentVolume of a volume must say, or with "" those
// of all volumes that can be adopted by their claims without a second thought.
func (c *Client) Adoptables(ctx context.Context, ref string) (a Adoptables, err error) {
	err = c.post(ctx, "/volumes/pv", VolumeRef{ref}, &a)
	return a, err
}

func (s *Server) adoptables(_ context.Context, order VolumeRef) (Adoptables, error) {
	if order.Volume == "" {
		return s.allAdoptables(), nil
	}
	v, err := s.Store.FindVolume(order.Volume)
	if err != nil {
		return Adoptables{}, err
	}
	if v.Quarantine != nil {
		return Adoptables{}, fmt.Errorf("%s: nobody knows what its PersistentVolume must say: %w; `hostdir check` says what to do", v.Path, v.Quarantine)
	}
	a := s.adoptable(*v.Volume)
	s.warnOfOthers(&a)
	return Adoptables{Volumes: []Adoptable{a}}, nil
}

// allAdoptables leaves out what only a person can decide. Of two volumes that are
// reserved for one claim Kubernetes would bind either, and one that is reserved for
// nobody would go to whichever claim asks first.
func (s *Server) allAdoptables() Adoptables {
	all := Adoptables{Volumes: []Adoptable{}}
	volumes := s.Store.VolumeStatus()
	ofClaim := map[store.Claim][]string{}
	for _, v := range volumes {
		ofClaim[v.Claim] = append(ofClaim[v.Claim], v.ID)
	}
	for _, v := range volumes {
		switch {
		case v.Quarantine != nil:
			all.leaveOut(v, "%v; `hostdir check` says what to do", v.Quarantine)
		case v.Claim == (store.Claim{}):
			all.leaveOut(v, "it is not known which claim it was made for: name it by its ID, and the claim with --claim")
		case len(ofClaim[v.Claim]) > 1:
			all.leaveOut(v, "%d volumes were made for claim %s: name the ID of the right one", len(ofClaim[v.Claim]), v.Claim)
		default:
			all.Volumes = append(all.Volumes, s.adoptable(*v.Volume))
		}
	}
	return all
}

func (a *Adoptables) leaveOut(v store.VolumeStatus, why string, args ...any) {
	a.LeftOut = append(a.LeftOut, fmt.Sprintf("volume %s at %s: %s", v.ID, v.Path, fmt.Sprintf(why, args...)))
}

func (s *Server) adoptable(v store.Volume) Adoptable {
	return Adoptable{
		ID: v.ID, Path: v.Path, PersistentVolume: cmp.Or(v.PersistentVolume, v.Name), CapacityBytes: v.CapacityBytes,
		Claim: claimOrNil(v.Claim), MountOptions: v.MountOptions, Attributes: v.Class.Attributes(), Driver: s.Driver, NodeLabels: s.NodeLabels,
	}
}

// warnOfOthers names the other volumes that were made for the same claim.
func (s *Server) warnOfOthers(a *Adoptable) {
	var others []string
	for _, v := range s.Store.Volumes() {
		if a.Claim != nil && v.Claim == *a.Claim && v.ID != a.ID {
			others = append(others, v.ID)
		}
	}
	if len(others) > 0 {
		a.Warnings = append(a.Warnings, fmt.Sprintf("claim %s can be bound to one volume only, and others were made for it as well: %s", a.Claim, strings.Join(others, ", ")))
	}
}

func (s *Server) undelete(ctx context.Context, order VolumeRef) (Adoptable, error) {
	v, beyond, err := s.Store.Undelete(ctx, order.Volume)
	if err != nil {
		return Adoptable{}, err
	}
	a := s.adoptable(v)
	s.warnOfOthers(&a)
	if beyond > 0 {
		a.Warnings = append(a.Warnings, fmt.Sprintf("nobody kept room for it: volumes are allocated %s more than the disk has", config.FormatSize(beyond)))
	}
	return a, nil
}
