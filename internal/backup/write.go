package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
)

// partSize is how much of a table goes into one entry of the archive, whose size has to
// be known before it is written.
const partSize = 32 << 20

const (
	contentsName = "contents.json"
	manifestName = "manifest.json"
)

func partName(table string, part int) string {
	return fmt.Sprintf("tables/%s/%05d.copy.zst", table, part)
}

// Write copies a source into w. It calls show now and then with the rows that are done
// and how many there are in all.
func Write(ctx context.Context, source Source, w io.Writer, show func(done, total int64)) (Contents, error) {
	contents, err := source.Contents(ctx)
	if err != nil {
		return contents, err
	}
	contents.Format = format
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return contents, fmt.Errorf("prepare the compression: %w", err)
	}
	defer encoder.Close()
	a := archive{tar: tar.NewWriter(w), taken: contents.TakenAt}
	if err := a.writeJSON(contentsName, contents); err != nil {
		return contents, err
	}
	var manifest Manifest
	done, total := int64(0), contents.Rows()
	for _, table := range contents.Tables {
		before := done
		t := &tableWriter{archive: a, name: table.Name, encoder: encoder, hash: sha256.New(), wrote: func(rows int64) { show(before+rows, total) }}
		encoder.Reset(&t.part)
		rows, err := source.CopyOut(ctx, table, t)
		if err == nil {
			err = t.flush()
		}
		if err != nil {
			return contents, fmt.Errorf("back up table %s: %w", table.Name, err)
		}
		if rows != table.Rows || rows != t.rows {
			return contents, fmt.Errorf("back up table %s: %d rows were counted, %d announced and %d written", table.Name, table.Rows, rows, t.rows)
		}
		done += rows
		manifest.Tables = append(manifest.Tables, Sum{Name: table.Name, Rows: rows, Bytes: t.bytes, SHA256: hex.EncodeToString(t.hash.Sum(nil))})
	}
	if err := a.writeJSON(manifestName, manifest); err != nil {
		return contents, err
	}
	if err := a.tar.Close(); err != nil {
		return contents, fmt.Errorf("end the backup: %w", err)
	}
	return contents, nil
}

// archive is a tar file whose entries all bear one time.
type archive struct {
	tar   *tar.Writer
	taken time.Time
}

func (a archive) writeEntry(name string, content []byte) error {
	header := &tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), ModTime: a.taken, Format: tar.FormatPAX}
	err := a.tar.WriteHeader(header)
	if err == nil {
		_, err = a.tar.Write(content)
	}
	if err != nil {
		return fmt.Errorf("write %s of the backup: %w", name, err)
	}
	return nil
}

func (a archive) writeJSON(name string, value any) error {
	content, err := json.MarshalIndent(value, "", "\t")
	if err != nil {
		return fmt.Errorf("encode %s of the backup: %w", name, err)
	}
	return a.writeEntry(name, append(content, '\n'))
}

// tableWriter takes the rows of a table, one by a call, and makes parts of whole rows.
type tableWriter struct {
	archive archive
	name    string
	encoder *zstd.Encoder
	part    bytes.Buffer // compressed
	parts   int
	inPart  int // bytes before compression
	hash    hash.Hash
	rows    int64
	bytes   int64
	wrote   func(rows int64)
}

func (t *tableWriter) Write(row []byte) (int, error) {
	if t.inPart >= partSize {
		if err := t.flush(); err != nil {
			return 0, err
		}
	}
	n, err := t.encoder.Write(row)
	t.hash.Write(row)
	t.rows += int64(bytes.Count(row, []byte{'\n'})) // one in a value is written as \n
	t.bytes += int64(n)
	t.inPart += n
	t.wrote(t.rows)
	return n, err
}

// flush writes what there is as a part.
func (t *tableWriter) flush() error {
	if t.inPart == 0 {
		return nil
	}
	if err := t.encoder.Close(); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	t.parts++
	if err := t.archive.writeEntry(partName(t.name, t.parts), t.part.Bytes()); err != nil {
		return err
	}
	t.part.Reset()
	t.encoder.Reset(&t.part)
	t.inPart = 0
	return nil
}
