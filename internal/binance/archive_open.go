package binance

import (
	"archive/zip"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// openArchive opens the rows of the zip or CSV at path. Where a checksum lies
// beside it, the whole file is hashed first, through the same handle, so that
// what was checked is what is read.
func openArchive(ctx context.Context, path string, name archiveName) (*archiveReader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	rows, err := openRows(ctx, file, name)
	if err != nil {
		file.Close()
		return nil, err
	}
	reader := newArchiveReader(rows, name)
	reader.close = func() error {
		rows.Close() // its error is the last read's, once more
		return file.Close()
	}
	return reader, nil
}

func openRows(ctx context.Context, file *os.File, name archiveName) (io.ReadCloser, error) {
	if err := verifyChecksum(ctx, file); err != nil {
		return nil, err
	}
	if !isZip(file.Name()) {
		return io.NopCloser(contextReader{ctx, file}), nil
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	entry, err := openZip(file, info.Size(), name)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{contextReader{ctx, entry}, entry}, nil
}

// verifyChecksum compares file's sha256 with the one in the checksum file
// beside it, if there is one, and leaves file at its start.
func verifyChecksum(ctx context.Context, file *os.File) error {
	want, err := readChecksum(file.Name() + checksumSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, contextReader{ctx, file}); err != nil {
		return fmt.Errorf("hashing: %w", err)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != want {
		return market.Errorf(market.Invalid,
			"its sha256 is %s, the %s beside it says %s: download both again", got, checksumSuffix, want)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("hashing: %w", err)
	}
	return nil
}

// readChecksum returns the hash, in lower-case hexadecimal, of a file written
// by sha256sum: the hash, white space, the file's name.
func readChecksum(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxLine))
	if err != nil {
		return "", err
	}
	hash, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	if sum, err := hex.DecodeString(hash); err != nil || len(sum) != sha256.Size {
		return "", market.Errorf(market.Invalid, "the %s beside it holds no sha256: download it again or remove it", checksumSuffix)
	}
	return strings.ToLower(hash), nil
}

// encrypted is the bit of a zip entry's flags that says so.
const encrypted = 0x1

// openZip opens the one CSV that a kline zip holds. It is inflated as it is
// read, so that its size does not matter.
func openZip(file io.ReaderAt, size int64, name archiveName) (io.ReadCloser, error) {
	archive, err := zip.NewReader(file, size)
	if err != nil {
		return nil, damaged(err)
	}
	if len(archive.File) != 1 || !isCSV(archive.File[0].Name) {
		return nil, market.Errorf(market.Invalid, "the zip holds %s: it must hold one CSV and nothing else", describe(archive.File))
	}
	entry := archive.File[0]
	if entry.Flags&encrypted != 0 {
		return nil, market.Errorf(market.Invalid, "the zip is encrypted: unpack it and import the CSV")
	}
	if inner, ok := parseArchiveName(entry.Name); ok && inner.series != name.series {
		return nil, market.Errorf(market.Invalid, "the zip holds %s, not %s: give it its name back", inner.series, name.series)
	}
	rows, err := entry.Open()
	if err != nil {
		return nil, damaged(err)
	}
	return rows, nil
}

func describe(entries []*zip.File) string {
	switch len(entries) {
	case 0:
		return "nothing"
	case 1:
		return quote(entries[0].Name)
	default:
		return fmt.Sprintf("%d files", len(entries))
	}
}

// damaged marks the errors that the bytes of a file cause and leaves others,
// such as those of the disk, as they are.
func damaged(err error) error {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	for _, known := range []error{zip.ErrFormat, zip.ErrChecksum, zip.ErrAlgorithm, io.ErrUnexpectedEOF} {
		corrupt = corrupt || errors.Is(err, known)
	}
	if !corrupt {
		return err
	}
	return market.Errorf(market.Invalid, "the file is damaged (%v): download it again", err)
}

// contextReader fails once ctx is done.
type contextReader struct {
	ctx    context.Context
	reader io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.reader.Read(p)
}
