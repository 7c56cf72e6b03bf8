package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// fileConfig is flurry.toml: every table and key that may stand in it. Whatever else stands there is an error with its
// line; an empty file is a good file.
type fileConfig struct {
	State     string                   `toml:"state"`
	Gateway   fileGateway              `toml:"gateway"`
	Share     fileShare                `toml:"share"`
	Network   fileNetwork              `toml:"network"`
	Store     fileStore                `toml:"store"`
	Publish   filePublish              `toml:"publish"`
	Control   fileControl              `toml:"control"`
	Namespace map[string]fileNamespace `toml:"namespace"`
}

type fileGateway struct {
	Listen    []string `toml:"listen"`
	Sign      bool     `toml:"sign"`
	BudgetLAN string   `toml:"budget_lan"`
	BudgetWAN string   `toml:"budget_wan"`
}

type fileShare struct {
	Mode    string `toml:"mode"`
	Upload  string `toml:"upload"`
	InPlace bool   `toml:"in_place"`
}

type fileNetwork struct {
	Port      int       `toml:"port"`
	Peers     []string  `toml:"peers"`
	Bootstrap bootstrap `toml:"bootstrap"`
	LAN       bool      `toml:"lan"`
	WAN       bool      `toml:"wan"`
}

type fileStore struct {
	Quota   string `toml:"quota"`
	Reserve string `toml:"reserve"`
}

type filePublish struct {
	Upstream []string `toml:"upstream"`
	Exclude  []string `toml:"exclude"`
	MaxSize  string   `toml:"max_size"`
}

type fileControl struct {
	Socket     string   `toml:"socket"`
	Admins     []string `toml:"admins"`
	Publishers []string `toml:"publishers"`
}

// fileNamespace is one [namespace.ALIAS] table, in flurry.toml and in the state directory's namespaces.toml.
type fileNamespace struct {
	Key       string   `toml:"key"`
	Use       bool     `toml:"use,omitempty"`
	Share     string   `toml:"share,omitempty"`
	Only      []string `toml:"only,omitempty"`      // paths of other names are never taken from it
	Threshold int      `toml:"threshold,omitempty"` // how many builders have to agree on a path; 0: 1
	Peers     []string `toml:"peers,omitempty"`
	Origin    string   `toml:"origin,omitempty"` // the URL of the HTTP cache that it is
	KeyFile   string   `toml:"key_file,omitempty"`
	Seed      bool     `toml:"seed,omitempty"`
	Quota     string   `toml:"quota,omitempty"`             // of a seed
	Promise   string   `toml:"promise,omitempty"`           // of a seed
	StopAfter int      `toml:"stop_after_copies,omitempty"` // of a seed: it ends when others have so many
	Until     string   `toml:"until,omitempty"`             // given to all until then although it is mirrored no more
	Publish   string   `toml:"publish,omitempty"`           // manual | hook | always
	Exclude   []string `toml:"exclude,omitempty"`           // of what is published so
	LeaveOut  []string `toml:"leave_out,omitempty"`         // of what is published so
	MaxSize   string   `toml:"max_size,omitempty"`          // of what is published so
	Full      bool     `toml:"full,omitempty"`              // of what is published so
}

// bootstrap is a list of PEER, or "default" or "none". This version comes with no peers of its own, so that both words mean
// the same.
type bootstrap []string

// UnmarshalTOML reads a word or a list.
func (b *bootstrap) UnmarshalTOML(v any) error {
	switch v := v.(type) {
	case string:
		if v != "default" && v != "none" {
			return fmt.Errorf(`%.40q is not "default", "none" or a list of peers`, v)
		}
		*b = nil
		return nil
	case []any:
		list := make([]string, len(v))
		for i, one := range v {
			s, ok := one.(string)
			if !ok {
				return errors.New("a peer is a string")
			}
			list[i] = s
		}
		*b = list
		return nil
	}
	return errors.New(`it is "default", "none" or a list of peers`)
}

// laterKeys are the keys that the specification has and this version has not: they are refused, and not as misspelt.
func laterKeys() []string {
	return []string{"share.on_metered", "share.lan_networks", "network.announce", "network.relay", "network.connections",
		"store.s3", "publish.copies", "public", "public.listen", "public.operator", "public.metrics"}
}

// defaultFile is an empty file: every key with its default. Where the state and the socket are depends on who runs it.
func defaultFile() fileConfig {
	return fileConfig{
		Gateway: fileGateway{Listen: []string{"127.0.0.1:7669", "[::1]:7669"}, Sign: true, BudgetLAN: "50ms", BudgetWAN: "300ms"},
		Share:   fileShare{Mode: "lan", Upload: "10Mbit", InPlace: true},
		Network: fileNetwork{Port: 7670, LAN: true, WAN: true},
		Store:   fileStore{Quota: "20GiB", Reserve: "auto"},
		Publish: filePublish{Upstream: []string{"cache.nixos.org"}, MaxSize: "0"},
		Control: fileControl{Admins: []string{"root"}, Publishers: []string{"root", "@flurry"}},
	}
}

// maxConfig is the largest configuration file that is read: many thousand namespaces.
const maxConfig = 4 << 20

// readConfig reads the file called name. One that is not there is an empty one if missingOK.
func readConfig(name string, missingOK bool) ([]byte, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) && missingOK {
		return nil, nil
	}
	if err != nil {
		return nil, badConfig(name, 0, reasonOf(err).Error())
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	switch {
	case err != nil:
		return nil, badConfig(name, 0, reasonOf(err).Error())
	case len(raw) > maxConfig:
		return nil, badConfig(name, 0, fmt.Sprintf("larger than %d bytes", maxConfig))
	}
	return raw, nil
}

// reasonOf takes what the system said out of a file error, which repeats the name.
func reasonOf(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// decodeConfig reads TOML into v, a *fileConfig or a part of one, and refuses what has no place in it.
func decodeConfig(name string, raw []byte, v any) (toml.MetaData, error) {
	meta, err := toml.NewDecoder(bytes.NewReader(raw)).Decode(v)
	if err != nil {
		return meta, tomlProblem(name, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return meta, unknownKey(name, raw, unknown[0], meta.Type(unknown[0]...) == "Hash")
	}
	return meta, nil
}

// readPlaces reads of a configuration file where the daemon's state and socket are, and nothing else: whether the file is
// good is for the daemon to say.
func readPlaces(name string) fileConfig {
	f := defaultFile()
	raw, err := readConfig(name, true)
	if err != nil {
		return f
	}
	if _, err := toml.NewDecoder(bytes.NewReader(raw)).Decode(&f); err != nil {
		return defaultFile()
	}
	return f
}

// keysOf are the keys of the table that t, a struct, stands for.
func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		key, _, _ := strings.Cut(t.Field(i).Tag.Get("toml"), ",")
		keys = append(keys, key)
	}
	return keys
}

// keysUnder are the keys that may stand in the table called path.
func keysUnder(path []string) []string {
	t := reflect.TypeFor[fileConfig]()
	for _, part := range path {
		if t.Kind() == reflect.Map {
			t = t.Elem()
			continue
		}
		at := slices.Index(keysOf(t), part)
		if at < 0 {
			return nil
		}
		t = t.Field(at).Type
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	return keysOf(t)
}
