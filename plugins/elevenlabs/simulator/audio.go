package simulator

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// frameSamples are the samples of one Opus packet of 20 milliseconds.
const frameSamples = 960

// maxSeconds bounds what is spoken, however long the text.
const maxSeconds = 120

// spoken is how long a text lasts, in packets: about 15 characters a second.
func spoken(text string) int {
	seconds := min(1+utf8.RuneCountInString(text)/15, maxSeconds)
	return seconds * 50
}

// silence is an Opus packet of 20 milliseconds of nothing, mono.
var silence = [...]byte{0xf8, 0xff, 0xfe}

// oggOpus is silence as a voice note: mono Opus in Ogg, as long as the text.
func oggOpus(text string) []byte {
	var out bytes.Buffer
	const serial = 0x5157a70
	head := []byte("OpusHead\x01\x01\x00\x00\x80\xbb\x00\x00\x00\x00\x00")
	tags := []byte("OpusTags\x06\x00\x00\x00strato\x00\x00\x00\x00")
	page(&out, 2, 0, serial, 0, [][]byte{head})
	page(&out, 0, 0, serial, 1, [][]byte{tags})
	frames := spoken(text)
	for number, from := uint32(2), 0; from < frames; number++ {
		to := min(from+50, frames)
		packets := make([][]byte, to-from)
		for i := range packets {
			packets[i] = silence[:]
		}
		kind := byte(0)
		if to == frames {
			kind = 4
		}
		page(&out, kind, uint64(to)*frameSamples, serial, number, packets)
		from = to
	}
	return out.Bytes()
}

// page writes one page of Ogg; packets are shorter than 255 bytes each.
func page(out *bytes.Buffer, kind byte, granule uint64, serial, number uint32, packets [][]byte) {
	p := []byte("OggS\x00")
	p = append(p, kind)
	p = binary.LittleEndian.AppendUint64(p, granule)
	p = binary.LittleEndian.AppendUint32(p, serial)
	p = binary.LittleEndian.AppendUint32(p, number)
	p = append(p, 0, 0, 0, 0, byte(len(packets)))
	for _, packet := range packets {
		p = append(p, byte(len(packet)))
	}
	for _, packet := range packets {
		p = append(p, packet...)
	}
	binary.LittleEndian.PutUint32(p[22:], checksum(p))
	out.Write(p)
}

// checksum is Ogg's CRC-32, which is not that of hash/crc32: it is not reflected.
func checksum(b []byte) uint32 {
	var sum uint32
	for _, c := range b {
		sum ^= uint32(c) << 24
		for range 8 {
			if sum&(1<<31) != 0 {
				sum = sum<<1 ^ 0x04c11db7
			} else {
				sum <<= 1
			}
		}
	}
	return sum
}

// bareOpus is the same without its container.
func bareOpus(text string) []byte { return bytes.Repeat(silence[:], spoken(text)) }

// mp3 is as much of MP3 as tells what it is: a tag, and frames of nothing.
func mp3(text string) []byte {
	out := []byte("ID3\x04\x00\x00\x00\x00\x00\x00")
	frame := make([]byte, 417)
	copy(frame, "\xff\xfb\x90\x64")
	return append(out, bytes.Repeat(frame, spoken(text)/2)...)
}
