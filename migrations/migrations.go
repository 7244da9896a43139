// Package migrations holds the schema as golang-migrate files, embedded.
//
// A file is sent as one implicit transaction: continuous aggregates are created
// WITH NO DATA, and a statement that cannot run in a transaction stands alone
// in its file.
package migrations

import "embed"

// Files are the up and down files, NNNN_name.up.sql and NNNN_name.down.sql.
//
//go:embed *.sql
var Files embed.FS
