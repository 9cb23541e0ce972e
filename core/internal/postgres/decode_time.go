package postgres

import "time"

// parseTime reads the usual text forms, 2026-07-01, 2026-07-01 12:30:45.123456
// and the same with +00 or -03:30 behind, and reports false for the rare ones
// (infinity, years beyond 9999 or before Christ, offsets with seconds), which
// are left to a slower reader.
func parseTime(s []byte) (time.Time, bool) {
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return time.Time{}, false
	}
	year, ok1 := digits(s[0:4])
	month, ok2 := digits(s[5:7])
	day, ok3 := digits(s[8:10])
	if !ok1 || !ok2 || !ok3 || month > 12 {
		return time.Time{}, false
	}
	if len(s) == 10 {
		return time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC), true
	}
	if len(s) < 19 || s[10] != ' ' || s[13] != ':' || s[16] != ':' {
		return time.Time{}, false
	}
	hour, ok1 := digits(s[11:13])
	minute, ok2 := digits(s[14:16])
	second, ok3 := digits(s[17:19])
	nanos, rest := fraction(s[19:])
	offset, ok4 := zone(rest)
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return time.Time{}, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, second-offset, nanos, time.UTC), true
}

func digits(s []byte) (n int, ok bool) {
	for _, b := range s {
		if b < '0' || b > '9' {
			return 0, false
		}
		n = n*10 + int(b-'0')
	}
	return n, len(s) > 0
}

// fraction reads .123456 into nanoseconds and returns what follows.
func fraction(s []byte) (nanos int, rest []byte) {
	if len(s) == 0 || s[0] != '.' {
		return 0, s
	}
	s = s[1:]
	unit := 100_000_000
	for len(s) > 0 && s[0] >= '0' && s[0] <= '9' {
		nanos += int(s[0]-'0') * unit
		unit /= 10
		s = s[1:]
	}
	return nanos, s
}

// zone reads +05 or -03:30 into seconds east of UTC; nothing means UTC.
func zone(s []byte) (seconds int, ok bool) {
	if len(s) == 0 {
		return 0, true
	}
	if len(s) != 3 && len(s) != 6 || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	hours, ok := digits(s[1:3])
	minutes := 0
	if ok && len(s) == 6 {
		minutes, ok = digits(s[4:6])
		ok = ok && s[3] == ':'
	}
	seconds = hours*3600 + minutes*60
	if s[0] == '-' {
		seconds = -seconds
	}
	return seconds, ok
}
