package nodeloss

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestReadDisks(t *testing.T) {
	const begun = "# HELP hostdir_disk_info The UUID.\n# TYPE hostdir_disk_info gauge\n"
	const ended = "# HELP hostdir_x More.\n# TYPE hostdir_x gauge\n"
	for _, test := range []struct {
		name, text string
		want       []string
		wantErr    bool
	}{
		{"two", begun + "hostdir_disk_info{pool=\"a\",path=\"/x\",uuid=\"1\"} 1\nhostdir_disk_info{pool=\"a\",path=\"/y\",uuid=\"2\"} 1\n" + ended, []string{"1", "2"}, false},
		{"none", begun + ended, nil, false},
		{"a path that looks like another label", begun + `hostdir_disk_info{pool="a",path="/x\"{,uuid=\"9\",",uuid="1"} 1` + "\n" + ended, []string{"1"}, false},
		{"an older version", ended, nil, true},
		{"breaks off", begun + "hostdir_disk_info{pool=\"a\",path=\"/x\",uuid=\"1\"} 1\n", nil, true},
		{"nothing", "", nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			disks, err := readDisks(strings.NewReader(test.text))
			if got := slices.Sorted(maps.Keys(disks)); !slices.Equal(got, test.want) || (err != nil) != test.wantErr || (disks == nil) != test.wantErr {
				t.Errorf("disks %q, error %v", got, err)
			}
		})
	}
}

// TestAsk shows that only the plugin itself is believed.
func TestAsk(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"not ready":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"sent elsewhere": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) },
	} {
		server := httptest.NewServer(answer)
		if disks, err := ask(t.Context(), strings.TrimPrefix(server.URL, "http://")); err == nil {
			t.Errorf("%s: the disks are %v", name, disks)
		}
		server.Close()
	}
}
