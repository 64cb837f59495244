package monitoring

import (
	"encoding/json"
	"os"
)

// Save writes a reading, so that it can be drawn again.
func (r Reading) Save(file string) error {
	content, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(content, '\n'), 0o644)
}

// LoadReading reads what Save has written.
func LoadReading(file string) (Reading, error) {
	var r Reading
	content, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(content, &r)
	}
	return r, err
}
