package simulator

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"strings"
)

// sample is a small file that a person sends when none is given.
type sample struct {
	mime, name string
	content    func() []byte
}

var samples = map[string]sample{
	"image":    {"image/jpeg", "", picture},
	"video":    {"video/mp4", "", func() []byte { return []byte("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom") }},
	"audio":    {"audio/mpeg", "", func() []byte { return []byte("ID3\x04\x00\x00\x00\x00\x00\x00") }},
	"voice":    {"audio/ogg; codecs=opus", "", voiceNote},
	"document": {"application/pdf", "Recibo octubre – Ferreyra Núñez.pdf", document},
	"sticker":  {"image/webp", "", func() []byte { return []byte("RIFF\x0c\x00\x00\x00WEBPVP8L\x00\x00\x00\x00") }},
}

// picture is a house front, roughly: a gradient.
func picture() []byte {
	m := image.NewRGBA(image.Rect(0, 0, 96, 64))
	for y := range 64 {
		for x := range 96 {
			m.Set(x, y, color.RGBA{R: uint8(120 + x), G: uint8(90 + y), B: 110, A: 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		return nil // a picture in memory always encodes
	}
	return b.Bytes()
}

// document is a PDF of one empty page.
func document() []byte {
	return []byte("%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n" +
		"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n")
}

// voiceNote is a second of silence: Opus in Ogg, mono, that players take.
func voiceNote() []byte {
	var b bytes.Buffer
	oggPage(&b, 2, 0, 0, []string{"OpusHead\x01\x01\x38\x01\x80\xbb\x00\x00\x00\x00\x00"})
	oggPage(&b, 0, 0, 1, []string{"OpusTags\x06\x00\x00\x00Strato\x00\x00\x00\x00"})
	// 50 frames of 20 milliseconds.
	oggPage(&b, 4, 312+50*960, 2, strings.Split(strings.Repeat("\xf8\xff\xfe,", 50), ",")[:50])
	return b.Bytes()
}

// oggPage writes a page of packets, each shorter than 255 bytes.
func oggPage(b *bytes.Buffer, flags byte, granule uint64, number uint32, packets []string) {
	page := []byte("OggS\x00")
	page = append(page, flags)
	page = binary.LittleEndian.AppendUint64(page, granule)
	page = binary.LittleEndian.AppendUint32(page, 1)
	page = binary.LittleEndian.AppendUint32(page, number)
	page = append(page, 0, 0, 0, 0, uint8(len(packets)&0xff))
	for _, p := range packets {
		page = append(page, uint8(len(p)&0xff))
	}
	for _, p := range packets {
		page = append(page, p...)
	}
	binary.LittleEndian.PutUint32(page[22:], oggSum(page))
	b.Write(page)
}

// oggSum is Ogg's checksum: CRC-32 with the polynomial 0x04c11db7, unreflected.
func oggSum(page []byte) uint32 {
	var sum uint32
	for _, c := range page {
		sum ^= uint32(c) << 24
		for range 8 {
			if sum&0x80000000 != 0 {
				sum = sum<<1 ^ 0x04c11db7
				continue
			}
			sum <<= 1
		}
	}
	return sum
}
