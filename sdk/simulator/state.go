package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// saveEvery is how long changes gather before they are written. A simulator
// that is killed loses at most that much.
const saveEvery = 200 * time.Millisecond

// State is a value of type T that lives in a JSON file.
type State[T any] struct {
	path string

	mu    sync.Mutex
	value T
	dirty bool

	wake, quit chan struct{}
	done       chan struct{}
	saved      error
}

// OpenState reads the file, or starts from initial if there is none. With an
// empty path the state lives in memory only. Close it in the end.
func OpenState[T any](path string, initial T) (*State[T], error) {
	s := &State[T]{path: path, value: initial, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	if path != "" {
		raw, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, fmt.Errorf("read the simulator's state: %w", err)
		default:
			if err := json.Unmarshal(raw, &s.value); err != nil {
				return nil, fmt.Errorf("the simulator's state in %s cannot be read (%w); remove the file to start afresh", path, err)
			}
		}
	}
	go s.saver()
	return s, nil
}

// View lets f look at the value; it must not keep or change what it sees.
func (s *State[T]) View(f func(*T)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.value)
}

// Change lets f change the value, which is saved soon after. f must not keep it.
func (s *State[T]) Change(f func(*T)) {
	s.mu.Lock()
	f(&s.value)
	s.dirty = true
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Close saves what has changed and stops. It is called once.
func (s *State[T]) Close() error {
	close(s.quit)
	<-s.done
	return s.saved
}

func (s *State[T]) saver() {
	defer close(s.done)
	for {
		select {
		case <-s.quit:
			s.saved = s.save()
			return
		case <-s.wake:
		}
		select {
		case <-s.quit:
			s.saved = s.save()
			return
		case <-time.After(saveEvery):
			// A later save, or Close, tells if the trouble stays.
			_ = s.save()
		}
	}
}

// save writes the file beside itself and renames it, so that a reader or a
// power cut finds either the old or the new one.
func (s *State[T]) save() error {
	s.mu.Lock()
	if !s.dirty || s.path == "" {
		s.mu.Unlock()
		return nil
	}
	raw, err := json.Marshal(s.value)
	s.dirty = false
	s.mu.Unlock()
	if err == nil {
		err = writeFile(s.path, raw)
	}
	if err != nil {
		s.mu.Lock()
		s.dirty = true
		s.mu.Unlock()
		return fmt.Errorf("save the simulator's state: %w", err)
	}
	return nil
}

// writeFile replaces a file in one step. Only its owner may read it: it may
// hold the secrets of simulated accounts.
func writeFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".simulator-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
