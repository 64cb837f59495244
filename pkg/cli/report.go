package cli

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

func newReport(s *session) *cobra.Command {
	var file string
	command := &cobra.Command{
		Use:   "report",
		Short: "Pack what helps to find a fault of hostdir into an archive",
		Long: `Pack what helps to find a fault of hostdir into an archive: versions, configuration, hostdir's objects, the nodes' tables, events and logs.

It holds names of nodes, claims and images. It holds no Secrets, and no names of files in volumes: they are cut out.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return s.report(command.Context(), file)
		},
	}
	command.Flags().StringVar(&file, "file", "hostdir-report.tar.gz", "the archive to write, which must not exist yet; - is standard output")
	return command
}

// report writes the archive, of what can be had, and fails if that is not all.
func (s *session) report(ctx context.Context, file string) (err error) {
	if _, err := s.client(); err != nil {
		return err
	}
	out := s.Out
	if file != "-" {
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer func() {
			if err = errors.Join(err, f.Close()); err != nil && !errors.Is(err, errIncomplete) {
				os.Remove(file) // made by this call
			}
		}()
		out = f
	}
	a := newArchive(out)
	s.collect(ctx, a)
	if err := ctx.Err(); err != nil {
		return err
	}
	missing, err := a.close()
	if err != nil {
		return fmt.Errorf("the archive cannot be written: %w", err)
	}
	if file != "-" {
		fmt.Fprintf(s.Out, "%s is written\n", file)
		fmt.Fprintln(s.ErrOut, "Look into it before you give it away: it holds names of nodes, claims and images.")
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w (errors.txt in the archive):\n    %s", errIncomplete, strings.Join(missing, "\n    "))
	}
	return nil
}

var errIncomplete = errors.New("the archive has not everything")

// archive is a compressed tar file that several may add to at the same time. What
// cannot be had is told in it.
type archive struct {
	mu      sync.Mutex
	gzip    *gzip.Writer
	tar     *tar.Writer
	now     time.Time
	missing []string
	err     error // the first of writing
}

func newArchive(out io.Writer) *archive {
	z := gzip.NewWriter(out)
	return &archive{gzip: z, tar: tar.NewWriter(z), now: time.Now()}
}

// add adds a file, without names of files in volumes. If there is an error it tells
// that, and adds what was had before it.
func (a *archive) add(name string, content []byte, err error) {
	content = withoutFileNames(content)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.missing = append(a.missing, string(withoutFileNames([]byte(name+": "+err.Error()))))
		if len(content) == 0 {
			return
		}
	}
	if a.err == nil {
		a.err = a.write(name, content)
	}
}

func (a *archive) write(name string, content []byte) error {
	err := a.tar.WriteHeader(&tar.Header{Name: "hostdir-report/" + name, Mode: 0o600, Size: int64(len(content)), ModTime: a.now})
	if err == nil {
		_, err = a.tar.Write(content)
	}
	return err
}

// addObject adds an object of the API, or a list of them.
func (a *archive) addObject(name string, object runtime.Object, err error) {
	var text []byte
	if err == nil {
		text, err = readable(object)
	}
	a.add(name, text, err)
}

// readable is the object without what says only who has written what. An object that
// was applied is in its own annotation a second time.
func readable(object runtime.Object) ([]byte, error) {
	tidy := func(object runtime.Object) error {
		m, err := meta.Accessor(object)
		if err == nil {
			m.SetManagedFields(nil)
			annotations := m.GetAnnotations()
			delete(annotations, corev1.LastAppliedConfigAnnotation)
			m.SetAnnotations(annotations)
		}
		return err
	}
	var err error
	if meta.IsListType(object) {
		err = meta.EachListItem(object, tidy)
	} else {
		err = tidy(object)
	}
	if err != nil {
		return nil, err
	}
	return yaml.Marshal(object)
}

// addJSON adds an answer of a node.
func (a *archive) addJSON(name string, value any, err error) {
	var text []byte
	if err == nil {
		text, err = json.MarshalIndent(value, "", "  ")
	}
	a.add(name, text, err)
}

// close ends the archive, and returns what is missing in it.
func (a *archive) close() (missing []string, err error) {
	slices.SortFunc(a.missing, cmp.Compare[string])
	if len(a.missing) > 0 {
		a.add("errors.txt", []byte(strings.Join(a.missing, "\n")+"\n"), nil)
	}
	return a.missing, errors.Join(a.err, a.tar.Close(), a.gzip.Close())
}
