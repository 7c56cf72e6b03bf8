package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

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

func openSpaces(name string, declared []node.Space) (*spacesFile, error) {
	f := &spacesFile{name: name, declared: declared}
	raw, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	var file struct {
		Namespace map[string]fileNamespace `toml:"namespace"`
	}
	meta, err := toml.Decode(string(raw), &file)
	if err != nil {
		return nil, tomlProblem(name, err)
	}
	for _, key := range meta.Keys() {
		if len(key) != 2 || key[0] != "namespace" {
			continue
		}
		sp, err := file.Namespace[key[1]].space(key[1])
		if err != nil {
			return nil, badConfig(name, lineOf(raw, "namespace."+key[1]), err.Error())
		}
		if !f.isDeclared(sp.Address) {
			f.list = append(f.list, sp)
		}
	}
	return f, nil
}

func (f *spacesFile) isDeclared(a namespace.Address) bool {
	return slices.ContainsFunc(f.declared, func(sp node.Space) bool { return sp.Address == a })
}

// all lists the declared namespaces, then the others.
func (f *spacesFile) all() []node.Space {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append(slices.Clone(f.declared), f.list...)
}

// put adds sp or replaces the one of its address. It is on the disk when put returns.
func (f *spacesFile) put(sp node.Space) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.refuseDeclared(sp.Address); err != nil {
		return err
	}
	list := slices.Clone(f.list)
	if at := slices.IndexFunc(list, func(o node.Space) bool { return o.Address == sp.Address }); at >= 0 {
		list[at] = sp
	} else {
		list = append(list, sp)
	}
	return f.write(list)
}

// remove takes the namespace out of the file.
func (f *spacesFile) remove(a namespace.Address) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.refuseDeclared(a); err != nil {
		return err
	}
	return f.write(slices.DeleteFunc(slices.Clone(f.list), func(sp node.Space) bool { return sp.Address == a }))
}

func (f *spacesFile) refuseDeclared(a namespace.Address) error {
	for _, sp := range f.declared {
		if sp.Address == a {
			return &report.Problem{ID: "declared", Exit: report.ExitUsage, Message: fmt.Sprintf("%s is declared in %s, so commands cannot change it", sp.Alias, sp.Declared),
				Try: []string{"edit that file, then restart the daemon"}}
		}
	}
	return nil
}

// write is called with mu held.
func (f *spacesFile) write(list []node.Space) error {
	out := bytes.NewBufferString(spacesHeader)
	for _, sp := range list {
		table := fileNamespace{Key: sp.Address.String(), Use: sp.Use, Share: sp.Share.String()}
		for _, p := range sp.Peers {
			table.Peers = append(table.Peers, p.String())
		}
		one := map[string]map[string]fileNamespace{"namespace": {sp.Alias: table}}
		encoder := toml.NewEncoder(out)
		encoder.Indent = ""
		if err := encoder.Encode(one); err != nil {
			return err
		}
	}
	if err := durable.WriteFile(durable.OS{}, f.name, out.Bytes(), 0o644); err != nil {
		return err
	}
	f.list = list
	return nil
}
