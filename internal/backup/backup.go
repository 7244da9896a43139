// Package backup writes all that a database holds into one file, as of one instant, and
// reads it back. It knows the file; what to copy and how is the database's to say.
//
// The file is a tar archive:
//
//	contents.json                     what is in it: schema, tables, columns, sequences
//	tables/NAME/00001.copy.zst …      rows in PostgreSQL's COPY text format, in parts
//	manifest.json                     rows, bytes and SHA-256 of every table
//
// The manifest comes last: a file without one was not written to its end.
package backup

import (
	"context"
	"io"
	"time"
)

// format is the number of the file's layout.
const format = 1

// Contents says what a backup holds, before the rows.
type Contents struct {
	Format    int        `json:"format"`
	Schema    uint       `json:"schema"`   // number of the last migration of the database
	Edition   string     `json:"edition"`  // of TimescaleDB: apache or timescale
	TakenAt   time.Time  `json:"taken_at"` // the instant that the rows are of
	Tables    []Table    `json:"tables"`   // those that others refer to first
	Sequences []Sequence `json:"sequences"`
}

// Rows returns how many rows there are in all.
func (c Contents) Rows() int64 {
	var rows int64
	for _, table := range c.Tables {
		rows += table.Rows
	}
	return rows
}

// Table is one that is copied, with the columns that are stored of it, in their order.
type Table struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Rows    int64    `json:"rows"`
}

// Sequence is where the numbers of new rows go on from.
type Sequence struct {
	Name   string `json:"name"`
	Last   int64  `json:"last"`
	Called bool   `json:"called"` // whether Last was given out
}

// Manifest says of every table what a reader has to find.
type Manifest struct {
	Tables []Sum `json:"tables"`
}

// Sum is what a table came to.
type Sum struct {
	Name   string `json:"name"`
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`  // of COPY text, uncompressed
	SHA256 string `json:"sha256"` // of the same, hexadecimal
}

// Source is a database as of one instant.
type Source interface {
	// Contents lists what is to be copied, the same at every call.
	Contents(ctx context.Context) (Contents, error)
	// CopyOut writes the rows of a table, one by a call of Write, and returns how many
	// there were.
	CopyOut(ctx context.Context, table Table, w io.Writer) (int64, error)
}

// Loader stores the rows of a table that it reads from r, and returns how many there
// were.
type Loader func(table Table, r io.Reader) (int64, error)

// Target is an empty database.
type Target interface {
	// Restore calls fill in a transaction that is committed if it returns nil. Where the
	// contents do not fit the database, or it is not empty, the error says what to do.
	Restore(ctx context.Context, contents Contents, fill func(Loader) error) error
}
