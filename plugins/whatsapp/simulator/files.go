package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// filePath is where files are downloaded, as at Meta's lookaside host.
const filePath = "/whatsapp_business/attachments/"

// fileAge is how long the address of a file is good.
const fileAge = 5 * time.Minute

// maxUpload is the largest file, that of a document.
const maxUpload = 100 << 20

// sizes are the limits of uploads by the first part of their type.
var sizes = map[string]int{"image": 5 << 20, "video": 16 << 20, "audio": 16 << 20}

// file serves a file by its id: where it is, and its end.
func (s *Simulator) file(v visit) {
	var found *file
	s.state.View(func(st *state) { found = st.account(v.who.Label).file(v.id) })
	other := v.query.Get("phone_number_id")
	if found == nil || v.edge != "" || other != "" && other != v.who.PhoneNumberID {
		nowhere(v.r.Method, v.id).write(v.w)
		return
	}
	switch v.r.Method {
	case http.MethodGet:
		sum := sha256.Sum256(found.Content)
		size := any(len(found.Content))
		if s.faults.Load().SizeAsString {
			size = strconv.Itoa(len(found.Content))
		}
		reply(v.w, http.StatusOK, map[string]any{
			"messaging_product": "whatsapp", "id": found.ID, "mime_type": found.MIMEType,
			"sha256": hex.EncodeToString(sum[:]), "file_size": size,
			"url": s.fileURL("http://"+v.r.Host, v.who, found.ID),
		})
	case http.MethodDelete:
		s.state.Change(func(st *state) {
			a := st.account(v.who.Label)
			for i, f := range a.Files {
				if f.ID == v.id {
					a.Files = append(a.Files[:i], a.Files[i+1:]...)
					return
				}
			}
		})
		success(v.w)
	default:
		nowhere(v.r.Method, v.id).write(v.w)
	}
}

// fileURL is an address that is good for a while.
func (s *Simulator) fileURL(base string, who identity, id string) string {
	end := strconv.FormatInt(s.options.Now().Add(fileAge).Unix(), 10)
	q := url.Values{"mid": {id}, "ext": {end}, "hash": {fileHash(who, id, end)}}
	return base + filePath + "?" + q.Encode()
}

func fileHash(who identity, id, end string) string { return secret(who.Label, "file "+id+" "+end, 12) }

// serveFile gives the bytes, to the token whose file it is, while the address
// is good.
func (s *Simulator) serveFile(w http.ResponseWriter, r *http.Request, who identity, refused *refusal) {
	if refused != nil {
		refused.write(w)
		return
	}
	q := r.URL.Query()
	end, _ := strconv.ParseInt(q.Get("ext"), 10, 64)
	var found *file
	s.state.View(func(st *state) { found = st.account(who.Label).file(q.Get("mid")) })
	if found == nil || q.Get("hash") != fileHash(who, q.Get("mid"), q.Get("ext")) || s.options.Now().Unix() > end {
		http.Error(w, "Not found", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", found.MIMEType)
	_, _ = w.Write(found.Content) // the caller has gone; nobody is left to tell
}

// upload keeps a file that the business means to send.
func (s *Simulator) upload(v visit) {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxUpload+1<<20)
	if err := v.r.ParseMultipartForm(8 << 20); err != nil {
		invalid("The request must be multipart/form-data with the parts messaging_product, type and file").write(v.w)
		return
	}
	defer func() { _ = v.r.MultipartForm.RemoveAll() }()
	if v.r.FormValue("messaging_product") != "whatsapp" {
		invalid("The parameter messaging_product is required.").write(v.w)
		return
	}
	part, head, err := v.r.FormFile("file")
	if err != nil {
		invalid("The parameter file is required.").write(v.w)
		return
	}
	defer func() { _ = part.Close() }()
	content, err := io.ReadAll(part)
	mime := head.Header.Get("Content-Type")
	if mime == "" || mime == "application/octet-stream" {
		mime = v.r.FormValue("type")
	}
	class, _, _ := strings.Cut(mime, "/")
	limit, ok := sizes[class]
	if !ok {
		limit = maxUpload
	}
	switch {
	case err != nil || mime == "":
		invalid("Param file must be a file with one of the allowed types").write(v.w)
		return
	case len(content) > limit:
		refuse(131053, "The file is larger than allowed for its type").write(v.w)
		return
	}
	f := &file{ID: newID(), MIMEType: mime, Name: head.Filename, Content: content, At: s.options.Now()}
	s.state.Change(func(st *state) { st.account(v.who.Label).keepFile(f) })
	reply(v.w, http.StatusOK, map[string]any{"id": f.ID})
}
