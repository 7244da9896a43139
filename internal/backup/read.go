package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Restore copies a backup into a target, all of it or, where it is damaged or cut
// short, nothing.
func Restore(ctx context.Context, r io.Reader, target Target) (Contents, error) {
	a, err := open(r)
	if err != nil {
		return Contents{}, err
	}
	defer a.close()
	return a.contents, target.Restore(ctx, a.contents, a.load)
}

// Check reads a backup to its end and returns an Invalid error where it is not whole.
func Check(r io.Reader) (Contents, error) {
	a, err := open(r)
	if err != nil {
		return Contents{}, err
	}
	defer a.close()
	return a.contents, a.load(func(_ Table, rows io.Reader) (int64, error) {
		var n lineCounter
		_, err := io.Copy(&n, rows)
		return int64(n), err
	})
}

type lineCounter int64

func (n *lineCounter) Write(p []byte) (int, error) {
	*n += lineCounter(bytes.Count(p, []byte{'\n'}))
	return len(p), nil
}

// reader goes through the entries of a backup in their order.
type reader struct {
	contents Contents
	tar      *tar.Reader
	entry    string // that the tar reader stands at
	decoder  *zstd.Decoder
}

// damaged is how whatever is wrong with a file is told.
func damaged(reason string, arguments ...any) error {
	return market.Errorf(market.Invalid, "the backup is damaged: %s. Use another one", fmt.Sprintf(reason, arguments...))
}

func open(r io.Reader) (*reader, error) {
	a := &reader{tar: tar.NewReader(r)}
	if err := a.next(); err != nil || a.entry != contentsName {
		return nil, market.Errorf(market.Invalid, "this is no backup that cryptoboat backup made: it does not begin with %s", contentsName)
	}
	if err := a.readJSON(&a.contents); err != nil {
		return nil, err
	}
	if a.contents.Format != format {
		return nil, market.Errorf(market.Invalid, "the backup is of format %d, this program reads %d: use the cryptoboat that made it",
			a.contents.Format, format)
	}
	var err error
	if a.decoder, err = zstd.NewReader(nil); err != nil {
		return nil, fmt.Errorf("prepare the decompression: %w", err)
	}
	return a, nil
}

func (a *reader) close() { a.decoder.Close() }

// load gives every table to a loader and holds what it took against the manifest.
func (a *reader) load(into Loader) error {
	var found Manifest
	if err := a.next(); err != nil {
		return err
	}
	for _, table := range a.contents.Tables {
		t := &tableReader{reader: a, name: table.Name, hash: sha256.New()}
		rows, err := into(table, t)
		if t.err != nil { // what the loader makes of it says less
			err = t.err
		}
		if err != nil {
			return fmt.Errorf("restore table %s: %w", table.Name, err)
		}
		found.Tables = append(found.Tables, Sum{Name: table.Name, Rows: rows, Bytes: t.bytes, SHA256: hex.EncodeToString(t.hash.Sum(nil))})
	}
	if a.entry != manifestName {
		return damaged("%s stands where %s should", a.entry, manifestName)
	}
	var manifest Manifest
	if err := a.readJSON(&manifest); err != nil {
		return err
	}
	if len(manifest.Tables) != len(found.Tables) {
		return damaged("its manifest has %d tables, there are %d", len(manifest.Tables), len(found.Tables))
	}
	for k, sum := range manifest.Tables {
		if found.Tables[k] != sum {
			return damaged("table %s has %d rows of %d bytes with the SHA-256 %s, its manifest says %d rows of %d bytes with %s",
				sum.Name, found.Tables[k].Rows, found.Tables[k].Bytes, found.Tables[k].SHA256, sum.Rows, sum.Bytes, sum.SHA256)
		}
	}
	return nil
}

// next goes to the next entry.
func (a *reader) next() error {
	header, err := a.tar.Next()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return damaged("it ends before its manifest")
	case err != nil:
		return damaged("%v", err)
	}
	a.entry = header.Name
	return nil
}

// mostJSON bounds what is read of an entry that is held in memory.
const mostJSON = 16 << 20

func (a *reader) readJSON(into any) error {
	content, err := io.ReadAll(io.LimitReader(a.tar, mostJSON))
	if err == nil {
		err = json.Unmarshal(content, into)
	}
	if err != nil {
		return damaged("%s cannot be read: %v", a.entry, err)
	}
	return nil
}

// tableReader reads the parts of a table one after the other, and leaves the reader at
// the entry behind them.
type tableReader struct {
	reader *reader
	name   string
	parts  int
	inPart bool
	hash   hash.Hash
	bytes  int64
	err    error
}

func (t *tableReader) Read(p []byte) (int, error) {
	for t.err == nil {
		if !t.inPart {
			if t.reader.entry != partName(t.name, t.parts+1) {
				return 0, io.EOF
			}
			t.parts++
			t.inPart = true
			if err := t.reader.decoder.Reset(t.reader.tar); err != nil {
				t.err = damaged("%s: %v", t.reader.entry, err)
				break
			}
		}
		n, err := t.reader.decoder.Read(p)
		t.hash.Write(p[:n])
		t.bytes += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			t.inPart = false
			if err := t.reader.next(); err != nil {
				t.err = err
			}
		case err != nil:
			t.err = damaged("%s: %v", t.reader.entry, err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, t.err
}
