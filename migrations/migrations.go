// Package migrations holds the database schemas as SQL: the control plane's, of
// which there is one, and the tenants', which every database that holds tenants
// has alike. Each file has an up and a down half. A released file is never
// edited; each must work with the program of the version before it.
package migrations

import "embed"

// Control has the control plane's migrations in the folder "control".
//
//go:embed control/*.sql
var Control embed.FS

// Tenant has the tenants' migrations in the folder "tenant".
//
//go:embed tenant/*.sql
var Tenant embed.FS
