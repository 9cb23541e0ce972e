package plugintest

import (
	"context"
	"fmt"
)

// Tried lists the checks that talk to a process.
func Tried() []string {
	var names []string
	for _, c := range checks {
		if c.try != nil {
			names = append(names, c.group+"/"+c.name)
		}
	}
	return names
}

// Only makes one check.
func Only(ctx context.Context, c Config, name string) (Result, error) {
	s, err := open(c)
	if err != nil {
		return Result{}, err
	}
	for _, one := range checks {
		if one.group+"/"+one.name == name {
			return s.examine(ctx, one), nil
		}
	}
	return Result{}, fmt.Errorf("there is no check %s", name)
}
