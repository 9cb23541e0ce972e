package main

import (
	"bytes"
	"encoding/binary"
	"time"
)

// oggHeader is the length of a page's header without its table of segments.
const oggHeader = 27

// pages follows the pages of Ogg audio as they stream by, to tell how long it
// lasts. The zero value is ready; what is not Ogg has no length.
type pages struct {
	// head gathers the next page's header; skip is what is left of a page's body.
	head    []byte
	skip    int
	granule uint64
	lost    bool
}

// see takes the next bytes.
func (p *pages) see(b []byte) {
	for len(b) > 0 && !p.lost {
		if p.skip > 0 {
			n := min(p.skip, len(b))
			p.skip, b = p.skip-n, b[n:]
			continue
		}
		want := oggHeader
		if len(p.head) >= oggHeader {
			want += int(p.head[26])
		}
		n := min(want-len(p.head), len(b))
		p.head, b = append(p.head, b[:n]...), b[n:]
		if len(p.head) >= oggHeader && len(p.head) == oggHeader+int(p.head[26]) {
			p.page()
		}
	}
}

func (p *pages) page() {
	if !bytes.HasPrefix(p.head, []byte("OggS")) {
		p.lost = true
		return
	}
	for _, n := range p.head[oggHeader:] {
		p.skip += int(n)
	}
	// All ones means that no packet ends on this page.
	if g := binary.LittleEndian.Uint64(p.head[6:14]); g != ^uint64(0) {
		p.granule = g
	}
	p.head = p.head[:0]
}

// duration is the length so far. Opus always counts 48000 samples a second.
func (p *pages) duration() time.Duration {
	const day = 24 * 3600 * 48000
	if p.lost || p.granule > day {
		return 0
	}
	return time.Duration(p.granule) * time.Second / 48000
}
