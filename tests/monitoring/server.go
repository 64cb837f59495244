package monitoring

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"
)

// A Server is a Prometheus that runs.
type Server struct {
	address string
	process *exec.Cmd
	ended   chan struct{}
}

// Start runs Debian's Prometheus with a configuration, on a free port of the loopback
// interface, and returns once it answers. The folder takes its data and its log.
func Start(dir string, c Config) (*Server, error) {
	content, err := yaml.Marshal(c)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "prometheus.yaml")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "prometheus.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{address: free.Addr().String(), ended: make(chan struct{})}
	free.Close()
	s.process = exec.Command("prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+s.address)
	s.process.Stdout, s.process.Stderr = log, log
	// It does not outlive a test that is killed.
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		return nil, fmt.Errorf("run tests/packages, which installs Prometheus: %w", err)
	}
	go func() {
		s.process.Wait()
		close(s.ended)
	}()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		response, err := http.Get("http://" + s.address + "/-/ready")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return s, nil
			}
		}
		select {
		case <-s.ended:
			said, _ := os.ReadFile(log.Name())
			return nil, fmt.Errorf("prometheus ended at once:\n%s", said)
		default:
		}
		if time.Since(began) > time.Minute {
			s.Stop()
			return nil, errors.New("prometheus is not ready after a minute")
		}
	}
}

// Stop ends Prometheus.
func (s *Server) Stop() {
	s.process.Process.Kill()
	<-s.ended
}

// A Target is what Prometheus scrapes.
type Target struct {
	Labels            map[string]string
	Health, LastError string
}

// Targets are all that Prometheus has found.
func (s *Server) Targets() ([]Target, error) {
	var answer struct{ ActiveTargets []Target }
	err := s.get("targets", url.Values{"state": {"active"}}, &answer)
	return answer.ActiveTargets, err
}

// A Rule is an alert's, with those of it that are pending or fire.
type Rule struct {
	Name, Health, LastError string
	LastEvaluation          time.Time
	Alerts                  []struct {
		Labels map[string]string
		State  string
	}
}

// Rules are those of all groups.
func (s *Server) Rules() ([]Rule, error) {
	var answer struct{ Groups []struct{ Rules []Rule } }
	err := s.get("rules", nil, &answer)
	var all []Rule
	for _, g := range answer.Groups {
		all = append(all, g.Rules...)
	}
	return all, err
}

// A Series is what a query returns for one set of labels.
type Series struct {
	Labels map[string]string
	Points []Point
}

// A Point is a value at a time, in seconds since 1970.
type Point struct{ Time, Value float64 }

// Query asks for the values at a time.
func (s *Server) Query(query string, at time.Time) ([]Series, error) {
	return s.ask("query", url.Values{"query": {query}, "time": {seconds(at)}})
}

// QueryRange asks for the values from one time to another.
func (s *Server) QueryRange(query string, from, to time.Time, step time.Duration) ([]Series, error) {
	return s.ask("query_range", url.Values{"query": {query}, "start": {seconds(from)}, "end": {seconds(to)}, "step": {step.String()}})
}

func seconds(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

func (s *Server) ask(path string, values url.Values) ([]Series, error) {
	var answer struct {
		Result []struct {
			Metric map[string]string
			Value  sample
			Values []sample
		}
	}
	if err := s.get(path, values, &answer); err != nil {
		return nil, fmt.Errorf("%w: %s", err, values.Get("query"))
	}
	var all []Series
	for _, r := range answer.Result {
		one := Series{Labels: r.Metric}
		if r.Value.Time != 0 {
			r.Values = append(r.Values, r.Value)
		}
		for _, v := range r.Values {
			if !math.IsNaN(v.Value) { // such as the quantile of nothing, which no graph shows
				one.Points = append(one.Points, Point(v))
			}
		}
		if len(one.Points) > 0 {
			all = append(all, one)
		}
	}
	return all, nil
}

// sample is a point as Prometheus writes it: [1700000000.5, "42"].
type sample Point

func (s *sample) UnmarshalJSON(data []byte) error {
	var value string
	if err := json.Unmarshal(data, &[]any{&s.Time, &value}); err != nil {
		return err
	}
	var err error
	s.Value, err = strconv.ParseFloat(value, 64)
	return err
}

// get calls the API, and fills in what it returns as data.
func (s *Server) get(path string, values url.Values, data any) error {
	response, err := http.Get("http://" + s.address + "/api/v1/" + path + "?" + values.Encode())
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer := struct {
		Error string
		Data  any
	}{Data: data}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("prometheus answers %s: %w", response.Status, err)
	}
	if answer.Error != "" {
		return fmt.Errorf("prometheus says %q", answer.Error)
	}
	return nil
}
