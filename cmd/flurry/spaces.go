package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
)

// spacesFile keeps what commands said about namespaces: namespaces.toml in the state directory, in the form of the
// configuration file's [namespace.ALIAS] tables. What the configuration file declares comes first and is not in it.
type spacesFile struct {
	name     string
	declared []node.Space

	mu   sync.Mutex
	list []node.Space // in the order of the file
}

const spacesHeader = "# Written by flurry use, leave and new. To declare a namespace for good, put its table into flurry.toml.\n"

// fileSpaces is namespaces.toml.
type fileSpaces struct {
	Namespace map[string]fileNamespace `toml:"namespace"`
}

// openSpaces reads the file, which need not be there.
func openSpaces(name string, declared []node.Space) (*spacesFile, error) {
	f := &spacesFile{name: name, declared: declared}
	raw, err := readConfig(name, true)
	if err != nil {
		return nil, err
	}
	var file fileSpaces
	meta, err := decodeConfig(name, raw, &file)
	if err != nil {
		return nil, err
	}
	for _, alias := range aliases(meta) {
		line := lineOf(raw, "namespace", alias)
		sp, err := file.Namespace[alias].space(alias)
		if err != nil {
			return nil, badConfig(name, line, err.Error())
		}
		if f.isDeclared(sp.Address) {
			continue
		}
		if other, taken := f.byAlias(alias); taken {
			return nil, badConfig(name, line, fmt.Sprintf("%q means another key already, in %s; call that table otherwise", alias, other.Declared))
		}
		f.list = append(f.list, sp)
	}
	return f, nil
}

func (f *spacesFile) isDeclared(a namespace.Address) bool {
	return slices.ContainsFunc(f.declared, func(sp node.Space) bool { return sp.Address == a })
}

// byAlias returns the namespace of that alias. It is called with mu held, or before f is shared.
func (f *spacesFile) byAlias(alias string) (node.Space, bool) {
	for _, sp := range slices.Concat(f.declared, f.list) {
		if sp.Alias == alias {
			return sp, true
		}
	}
	return node.Space{}, false
}

// all lists the declared namespaces, then the others.
func (f *spacesFile) all() []node.Space {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Concat(f.declared, f.list)
}

// put adds sp, or replaces the one of its address. It is on the disk when put calls known, with which the rest of the
// program learns of it; calls of known take turns.
func (f *spacesFile) put(sp node.Space, known func(node.Space) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.refuseDeclared(sp.Address); err != nil {
		return err
	}
	if other, taken := f.byAlias(sp.Alias); taken && other.Address != sp.Address {
		return aliasTaken(sp.Alias, other.Address, "--as ANOTHER-NAME")
	}
	list := slices.Clone(f.list)
	if at := slices.IndexFunc(list, func(o node.Space) bool { return o.Address == sp.Address }); at >= 0 {
		list[at] = sp
	} else {
		list = append(list, sp)
	}
	if err := f.write(list); err != nil {
		return err
	}
	return known(sp)
}

// remove takes the namespace out of the file, then calls gone.
func (f *spacesFile) remove(a namespace.Address, gone func()) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.refuseDeclared(a); err != nil {
		return err
	}
	if err := f.write(slices.DeleteFunc(slices.Clone(f.list), func(sp node.Space) bool { return sp.Address == a })); err != nil {
		return err
	}
	gone()
	return nil
}

// refuseDeclared refuses to change what the configuration file says.
func (f *spacesFile) refuseDeclared(a namespace.Address) error {
	for _, sp := range f.declared {
		if sp.Address == a {
			return &report.Problem{ID: "declared", Exit: report.ExitUsage, Message: fmt.Sprintf("%s is declared in %s, so commands cannot change it", sp.Alias, sp.Declared),
				Try: []string{"edit that file, then restart the daemon"}}
		}
	}
	return nil
}

func aliasTaken(alias string, other namespace.Address, try string) error {
	return &report.Problem{ID: "alias-taken", Exit: report.ExitUsage, Message: fmt.Sprintf("%q already means another key here (%s)", alias, other), Try: []string{try}}
}

func badAlias(alias string) error {
	return usage("--as NAME", "%.80q cannot be an alias: letters, digits, dot, dash and underscore, at most 64", alias)
}

// write is called with mu held.
func (f *spacesFile) write(list []node.Space) error {
	out := bytes.NewBufferString(spacesHeader)
	for _, sp := range list {
		fmt.Fprintf(out, "\n[namespace.%s]\n", tomlKey(sp.Alias))
		table := fileNamespace{Key: sp.Address.String(), Use: sp.Use, Share: sp.Share.String(), Seed: sp.Seed, Origin: sp.Origin, Only: sp.Only, Threshold: sp.Threshold}
		auto := sp.Automatic
		table.Exclude, table.LeaveOut, table.Full = auto.Exclude, auto.LeaveOut, auto.Full
		if auto.When != node.WhenManual {
			table.Publish = auto.When.String()
		}
		if auto.MaxSize > 0 {
			table.MaxSize = strconv.FormatUint(auto.MaxSize, 10)
		}
		if sp.Quota > 0 {
			table.Quota = strconv.FormatUint(sp.Quota, 10)
		}
		if sp.Promise > 0 {
			table.Promise = sp.Promise.String()
		}
		table.StopAfter = sp.StopAfter
		if !sp.Until.IsZero() {
			table.Until = sp.Until.UTC().Format(time.RFC3339)
		}
		for _, p := range sp.Peers {
			table.Peers = append(table.Peers, p.String())
		}
		if err := toml.NewEncoder(out).Encode(table); err != nil {
			return err
		}
	}
	if err := durable.WriteFile(durable.OS{}, f.name, out.Bytes(), 0o644); err != nil {
		return err
	}
	f.list = list
	return nil
}

// tomlKey is an alias as a part of a dotted key.
func tomlKey(alias string) string {
	if strings.Contains(alias, ".") {
		return `"` + alias + `"`
	}
	return alias
}
