package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is what the kernel counts processor time in: USER_HZ, 100 on Linux.
const tick = time.Second / 100

// cpuOf is the processor time of processes and their descendants, those that
// ended included. Rates suffer from whatever else the machine does; the time a
// side needed does not. It is zero where there is no /proc.
func cpuOf(pids ...int) time.Duration {
	children, spent := map[int][]int{}, map[int]time.Duration{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well formed
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		// pid (name) state ppid … utime stime cutime cstime; the name may hold anything.
		head, rest, ok := cutLast(string(text), ") ")
		fields := strings.Fields(rest)
		if !ok || len(fields) < 15 {
			continue
		}
		pid, _, _ := strings.Cut(head, " ")
		n, parent := number10(pid), number10(fields[1])
		children[parent] = append(children[parent], n)
		for _, f := range fields[11:15] {
			spent[n] += time.Duration(number10(f)) * tick
		}
	}
	var sum func(pid int) time.Duration
	sum = func(pid int) time.Duration {
		total := spent[pid]
		for _, c := range children[pid] {
			total += sum(c)
		}
		return total
	}
	var total time.Duration
	for _, pid := range pids {
		total += sum(pid)
	}
	return total
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// number10 reads what the kernel wrote; there is nothing to report.
func number10(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}
