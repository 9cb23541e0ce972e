package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"
)

// Faults are switches that can be turned from outside.
type Faults interface {
	// Get returns the switches as they stand, to be written as JSON.
	Get() any
	// Patch turns the switches that a JSON object names. It fails, and turns
	// none, if a name or a type is not right.
	Patch(patch []byte) error
	// Clear puts all switches back.
	Clear()
}

// Switches implements [Faults] for a struct of switches with JSON tags, which
// holds no pointers, maps or slices that anybody changes. Its zero value has
// all of T's zero values.
type Switches[T any] struct {
	mu    sync.RWMutex
	value T
}

// Load returns the switches as they stand.
func (s *Switches[T]) Load() T {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.value
}

// Get implements [Faults].
func (s *Switches[T]) Get() any { return s.Load() }

// Update changes the switches in one step; f must not call s.
func (s *Switches[T]) Update(f func(*T)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.value)
}

// Patch implements [Faults].
func (s *Switches[T]) Patch(patch []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Through JSON, so that a list in the new value is not that of the old one.
	var next T
	old, err := json.Marshal(s.value)
	if err != nil {
		return fmt.Errorf("write the switches: %w", err)
	}
	if err := json.Unmarshal(old, &next); err != nil {
		return fmt.Errorf("read the switches: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(patch))
	d.DisallowUnknownFields()
	if err := d.Decode(&next); err != nil {
		return fmt.Errorf("the switches are not right: %w", err)
	}
	s.value = next
	return nil
}

// Clear implements [Faults].
func (s *Switches[T]) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var zero T
	s.value = zero
}
