package vm

import (
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// orderModules finds modules by their names below dir, with all that they depend on, each after what it needs.
// Modules say that themselves; modules.dep, which would as well, is made where a kernel is installed.
func orderModules(dir string, names []string) ([]string, error) {
	files := map[string]string{} // by name
	added := map[string]bool{}   // at first what is in the kernel itself
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if filepath.Ext(path) == ".ko" {
			files[moduleName(path)] = path
		}
		if filepath.Base(path) != "modules.builtin" {
			return nil
		}
		list, err := os.ReadFile(path)
		for line := range strings.Lines(string(list)) {
			added[moduleName(strings.TrimSpace(line))] = true
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var ordered []string
	var add func(name string) error
	add = func(name string) error {
		name = moduleName(name)
		if added[name] {
			return nil
		}
		added[name] = true
		path, ok := files[name]
		if !ok {
			return fmt.Errorf("the kernel in %s has no module %s", dir, name)
		}
		needs, err := dependencies(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, n := range needs {
			if err := add(n); err != nil {
				return err
			}
		}
		ordered = append(ordered, path)
		return nil
	}
	for _, name := range names {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return ordered, nil
}

// moduleName is the name of the module in a file. crc32c-intel and crc32c_intel are the same one: modprobe(8).
func moduleName(path string) string {
	return strings.ReplaceAll(strings.TrimSuffix(filepath.Base(path), ".ko"), "-", "_")
}

// dependencies are the names of the modules that a module needs.
func dependencies(path string) ([]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("no kernel module: it has no .modinfo")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for entry := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(entry, "depends="); ok && list != "" {
			return strings.Split(list, ","), nil
		}
	}
	return nil, nil
}
