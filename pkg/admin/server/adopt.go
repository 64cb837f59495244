package server

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/hostdir/hostdir/pkg/admin"
	"github.com/hostdir/hostdir/pkg/config"
	"github.com/hostdir/hostdir/pkg/store"
)

func (s *Server) adoptables(_ context.Context, order admin.VolumeRef) (admin.Adoptables, error) {
	if order.Volume == "" {
		return s.allAdoptables(), nil
	}
	v, err := s.Store.FindVolume(order.Volume)
	if err != nil {
		return admin.Adoptables{}, err
	}
	if v.Quarantine != nil {
		return admin.Adoptables{}, fmt.Errorf("%s: nobody knows what its PersistentVolume must say: %w; `hostdir check` says what to do", v.Path, v.Quarantine)
	}
	a := s.adoptable(*v.Volume)
	s.warnOfOthers(&a)
	return admin.Adoptables{Volumes: []admin.Adoptable{a}}, nil
}

// allAdoptables leaves out what only a person can decide. Of two volumes that are
// reserved for one claim Kubernetes would bind either, and one that is reserved for
// nobody would go to whichever claim asks first.
func (s *Server) allAdoptables() admin.Adoptables {
	all := admin.Adoptables{Volumes: []admin.Adoptable{}}
	volumes := s.Store.VolumeStatus()
	ofClaim := map[store.Claim][]string{}
	for _, v := range volumes {
		ofClaim[v.Claim] = append(ofClaim[v.Claim], v.ID)
	}
	for _, v := range volumes {
		switch {
		case v.Quarantine != nil:
			s.leaveOut(&all, v, "%v; `hostdir check` says what to do", v.Quarantine)
		case v.Claim == (store.Claim{}):
			s.leaveOut(&all, v, "it is not known which claim it was made for: name it by its ID, and the claim with --claim")
		case len(ofClaim[v.Claim]) > 1:
			s.leaveOut(&all, v, "%d volumes were made for claim %s: name the ID of the right one", len(ofClaim[v.Claim]), v.Claim)
		default:
			all.Volumes = append(all.Volumes, s.adoptable(*v.Volume))
		}
	}
	return all
}

func (s *Server) leaveOut(a *admin.Adoptables, v store.VolumeStatus, why string, args ...any) {
	left := admin.LeftOut{Why: fmt.Sprintf(why, args...)}
	if v.Quarantine != nil {
		left.Quarantine, left.Adoptable = true, admin.Adoptable{ID: v.ID, Path: v.Path}
	} else {
		left.Adoptable = s.adoptable(*v.Volume)
	}
	a.LeftOut = append(a.LeftOut, left)
}

func (s *Server) adoptable(v store.Volume) admin.Adoptable {
	return admin.Adoptable{
		ID: v.ID, Path: v.Path, PersistentVolume: cmp.Or(v.PersistentVolume, v.Name), CapacityBytes: v.CapacityBytes,
		Claim: claimOrNil(v.Claim), MountOptions: v.MountOptions, AccessModes: v.AccessModes, Class: v.Class, Attributes: v.Class.Attributes(), Driver: s.Driver, NodeLabels: s.NodeLabels,
	}
}

// warnOfOthers names the other volumes that were made for the same claim.
func (s *Server) warnOfOthers(a *admin.Adoptable) {
	var others []string
	for _, v := range s.Store.Volumes() {
		if a.Claim != nil && admin.Claim(v.Claim) == *a.Claim && v.ID != a.ID {
			others = append(others, v.ID)
		}
	}
	if len(others) > 0 {
		a.Warnings = append(a.Warnings, fmt.Sprintf("claim %s can be bound to one volume only, and others were made for it as well: %s", a.Claim, strings.Join(others, ", ")))
	}
}

func (s *Server) undelete(ctx context.Context, order admin.VolumeRef) (admin.Adoptable, error) {
	v, beyond, err := s.Store.Undelete(ctx, order.Volume)
	if err != nil {
		return admin.Adoptable{}, err
	}
	a := s.adoptable(v)
	s.warnOfOthers(&a)
	if beyond > 0 {
		a.Warnings = append(a.Warnings, fmt.Sprintf("nobody kept room for it: volumes are allocated %s more than the disk has", config.FormatSize(beyond)))
	}
	return a, nil
}
