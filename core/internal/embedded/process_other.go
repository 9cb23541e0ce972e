//go:build !linux

package embedded

import "syscall"

// dieWithParent has nothing to offer here.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}
