package apiserver

import (
	"context"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestCrash shows which writes reach the API server.
func TestCrash(t *testing.T) {
	s := Start(t)
	for _, test := range []struct {
		crash *Crash
		want  []string // of the maps a, b and c those that are there
		dead  bool
	}{
		{&Crash{}, []string{"a", "b", "c"}, false},
		{&Crash{At: 2, Fault: Refused}, []string{"a", "c"}, false},
		{&Crash{At: 2, Fault: Lost}, []string{"a", "b", "c"}, false},
		{&Crash{At: 2, Fault: Killed}, []string{"a"}, true},
	} {
		t.Run(string(test.crash.Fault), func(t *testing.T) {
			c, err := test.crash.NewClient(s.Config, client.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for i, name := range []string{"a", "b", "c"} {
				m := &corev1.ConfigMap{}
				m.Namespace, m.Name = "default", name
				err := c.Create(t.Context(), m)
				if fails := i+1 == test.crash.At || test.dead && i+1 > test.crash.At; (err != nil) != fails {
					t.Errorf("the creation of %s: %v", name, err)
				}
			}
			select {
			case <-test.crash.Killed():
				if !test.dead {
					t.Error("it is dead")
				}
			default:
				if test.dead {
					t.Error("it is not dead")
				}
			}
			if found := takeAll(t, s); !slices.Equal(found, test.want) {
				t.Errorf("the API server has %q, want %q", found, test.want)
			}
		})
	}
}

// takeAll deletes the test's maps and returns their names.
func takeAll(t *testing.T, s *Server) (names []string) {
	c, err := client.New(s.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var list corev1.ConfigMapList
	if err := c.List(context.Background(), &list, client.InNamespace("default")); err != nil {
		t.Fatal(err)
	}
	for _, m := range list.Items {
		if len(m.Name) > 1 {
			continue
		}
		names = append(names, m.Name)
		if err := c.Delete(context.Background(), &m); err != nil {
			t.Fatal(err)
		}
	}
	return names
}
