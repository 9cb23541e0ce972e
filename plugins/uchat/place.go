package main

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// baseURL is the provider's own address.
const baseURL = "https://www.uchat.com.au/api"

// place is where an installation's account lives.
type place struct {
	base string
	// host is that of a reseller, which the manifest cannot name; empty for the
	// provider's own and for the operator's override.
	host string
}

var resellerForm = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

// placeOf finds the address of the API. Only the operator says addresses:
// base_url, which replaces all others, and resellers, from which a tenant
// chooses by name.
func placeOf(operator map[string]string, reseller string) (place, error) {
	if base := operator["base_url"]; base != "" {
		u, err := url.Parse(base)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return place{}, fmt.Errorf("the operator's setting base_url is not an http or https URL")
		}
		return place{base: complete(u)}, nil
	}
	if reseller == "" {
		return place{base: baseURL}, nil
	}
	all, err := resellersOf(operator["resellers"])
	if err != nil {
		return place{}, err
	}
	p, ok := all[reseller]
	if !ok {
		return place{}, fmt.Errorf("the operator has named no reseller %q", reseller)
	}
	return p, nil
}

// resellersOf reads "name=https://host/api" separated by commas or white space.
func resellersOf(list string) (map[string]place, error) {
	all := map[string]place{}
	for _, one := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(", \t\r\n;", r) }) {
		name, address, _ := strings.Cut(one, "=")
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || !resellerForm.MatchString(name) {
			return nil, fmt.Errorf("the operator's setting resellers must have the form name=https://host/api, but has %q", one)
		}
		all[name] = place{base: complete(u), host: u.Host}
	}
	return all, nil
}

// complete is the address without a slash at its end; a bare host gets the
// path that the provider and all its resellers use.
func complete(u *url.URL) string {
	path := strings.TrimRight(u.Path, "/")
	if path == "" {
		path = "/api"
	}
	return u.Scheme + "://" + u.Host + path
}
