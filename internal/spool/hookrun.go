package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// hookFile is what the last hook says of itself.
const hookFile = "hook.json"

const hookSchema = "flurry/hook/1"

// HookRun is one run of a build hook, for which a build waited.
type HookRun struct {
	Began time.Time
	Took  time.Duration
	Ended bool // it came to its end in time: otherwise Took says nothing
}

// hookRunFile is its form on the disk.
type hookRunFile struct {
	Schema string    `json:"schema"`
	Began  time.Time `json:"began"`
	Took   *float64  `json:"took_seconds,omitempty"` // missing until it ends
}

// NoteHook notes how the hook runs: once when it begins, and once when it ends.
func (q *Queue) NoteHook(h HookRun) error {
	file := hookRunFile{Schema: hookSchema, Began: h.Began.UTC()}
	if h.Ended {
		took := h.Took.Seconds()
		file.Took = &took
	}
	text, err := json.Marshal(file)
	if err != nil {
		return err
	}
	// A new file: neither a link nor a pipe in its place leads root astray, or keeps a build waiting. Of two hooks that come to
	// this at once, one notes nothing. It is not synced, since nothing depends on it, and a build waits.
	name := filepath.Join(Dir, hookFile)
	if err := q.root.Remove(name + ".tmp"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := q.root.OpenFile(name+".tmp", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return q.root.Rename(name+".tmp", name)
}

// LastHook is how the last hook ran that noted it in the queue of a state directory. An fs.ErrNotExist: none did.
func LastHook(state string) (HookRun, error) {
	root, err := os.OpenRoot(state)
	if err != nil {
		return HookRun{}, err
	}
	defer root.Close()                                                                       // it is only read
	f, err := root.OpenFile(filepath.Join(Dir, hookFile), os.O_RDONLY|syscall.O_NONBLOCK, 0) // also of a pipe
	if err != nil {
		return HookRun{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxHookRun))
	if err != nil {
		return HookRun{}, err
	}
	var file hookRunFile
	if err := json.Unmarshal(text, &file); err != nil {
		return HookRun{}, fmt.Errorf("%s: %w", hookFile, err)
	}
	if file.Schema != hookSchema {
		return HookRun{}, fmt.Errorf("%s: its schema is %.40q", hookFile, file.Schema)
	}
	h := HookRun{Began: file.Began}
	if file.Took != nil {
		h.Took, h.Ended = time.Duration(*file.Took*float64(time.Second)), true
	}
	return h, nil
}
