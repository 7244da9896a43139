package backup_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/backup"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// rows are tables by name, in memory: a source, and a target that is filled whole or
// not at all.
type rows map[string]string

func (r rows) Contents(context.Context) (backup.Contents, error) {
	contents := backup.Contents{Schema: 7, Edition: "apache", TakenAt: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC),
		Sequences: []backup.Sequence{{Name: "s", Last: 3, Called: true}}}
	for _, name := range []string{"empty", "small", "river.large"} {
		contents.Tables = append(contents.Tables, backup.Table{Name: name, Columns: []string{"a"}, Rows: int64(strings.Count(r[name], "\n"))})
	}
	return contents, nil
}

func (r rows) CopyOut(_ context.Context, table backup.Table, w io.Writer) (int64, error) {
	for line := range strings.Lines(r[table.Name]) {
		if _, err := io.WriteString(w, line); err != nil {
			return 0, err
		}
	}
	return table.Rows, nil
}

func (r rows) Restore(_ context.Context, _ backup.Contents, fill func(backup.Loader) error) error {
	loaded := rows{}
	err := fill(func(table backup.Table, from io.Reader) (int64, error) {
		content, err := io.ReadAll(from)
		loaded[table.Name] = string(content)
		return int64(bytes.Count(content, []byte{'\n'})), err
	})
	if err == nil {
		for name, content := range loaded {
			r[name] = content
		}
	}
	return err
}

func written(t testing.TB, source backup.Source) []byte {
	t.Helper()
	var file bytes.Buffer
	last := int64(-1)
	_, err := backup.Write(t.Context(), source, &file, func(done, total int64) {
		if done < last || done > total {
			t.Errorf("%d of %d rows are done, after %d", done, total, last)
		}
		last = done
	})
	if err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	var large strings.Builder // of more than two parts
	for k := 0; large.Len() < 70<<20; k++ {
		fmt.Fprintf(&large, "%d\t%s\n", k, strings.Repeat("x", k%4000))
	}
	source := rows{"empty": "", "small": "1\\tsome\\n\n\\N\n", "river.large": large.String()}
	file := written(t, source)
	if !bytes.Equal(file, written(t, source)) {
		t.Error("the same rows make another file")
	}
	if contents, err := backup.Check(bytes.NewReader(file)); err != nil || contents.Schema != 7 || contents.Rows() < 30_000 {
		t.Errorf("%+v, %v", contents, err)
	}
	target := rows{}
	contents, err := backup.Restore(t.Context(), bytes.NewReader(file), target)
	if err != nil || len(contents.Sequences) != 1 {
		t.Fatal(contents, err)
	}
	for name := range source {
		if source[name] != target[name] {
			t.Errorf("%s: %d bytes became %d", name, len(source[name]), len(target[name]))
		}
	}
	var names []string
	for entries := tar.NewReader(bytes.NewReader(file)); ; {
		header, err := entries.Next()
		if err != nil {
			break
		}
		names = append(names, header.Name)
	}
	want := "contents.json tables/small/00001.copy.zst tables/river.large/00001.copy.zst tables/river.large/00002.copy.zst tables/river.large/00003.copy.zst manifest.json"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("the entries are %s", got)
	}
}

func TestADamagedBackupIsRefused(t *testing.T) {
	small := rows{"small": "a\nb\nc\n", "river.large": strings.Repeat("row\n", 1000)}
	file := written(t, small)
	refused := func(name string, file []byte) {
		t.Helper()
		target := rows{}
		_, err := backup.Restore(t.Context(), bytes.NewReader(file), target)
		if market.ErrorCode(err) != market.Invalid || len(target) != 0 {
			t.Errorf("%s: %v, %d tables", name, err, len(target))
		}
		if _, err := backup.Check(bytes.NewReader(file)); market.ErrorCode(err) != market.Invalid {
			t.Errorf("%s, checked: %v", name, err)
		}
	}
	refused("nothing", nil)
	refused("something else", []byte("PGDMP"+strings.Repeat("x", 2000)))
	refused("another tar file", file[1024:])
	// Behind the manifest there are but zeros.
	end := len(bytes.TrimRight(file, "\x00"))
	for cut := 1; cut < end; cut += 61 {
		refused(fmt.Sprintf("cut off at %d", cut), file[:cut])
	}
	for _, change := range [][2]string{
		{`"rows": 1000`, `"rows": 1001`}, {`"name": "small"`, `"name": "smell"`}, {`"format": 1`, `"format": 2`}, {`"sha256": "`, `"sha256": "0`},
	} {
		refused("with "+change[1], bytes.ReplaceAll(file, []byte(change[0]), []byte(change[1])))
	}
	// The rows of one table under the name of the other.
	refused("with tables exchanged", bytes.ReplaceAll(file, []byte("tables/small"), []byte("tables/smell")))
}

var errSourceBroke = errors.New("broke")

type lying struct {
	rows
	err error
}

func (l lying) CopyOut(ctx context.Context, table backup.Table, w io.Writer) (int64, error) {
	n, err := l.rows.CopyOut(ctx, table, w)
	if l.err != nil {
		return n, l.err
	}
	return n + 1, err
}

func TestABackupThatFailsSaysSo(t *testing.T) {
	source := rows{"small": "a\n"}
	show := func(int64, int64) {}
	if _, err := backup.Write(t.Context(), lying{source, errSourceBroke}, io.Discard, show); !errors.Is(err, errSourceBroke) {
		t.Error(err)
	}
	if _, err := backup.Write(t.Context(), lying{source, nil}, io.Discard, show); err == nil || !strings.Contains(err.Error(), "were counted") {
		t.Error(err)
	}
	if _, err := backup.Write(t.Context(), source, full{}, show); !errors.Is(err, errSourceBroke) {
		t.Error(err)
	}
}

// full is a disk without space.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errSourceBroke }

func FuzzCheck(f *testing.F) {
	file := written(f, rows{"small": "a\nb\n", "river.large": strings.Repeat("row\n", 100)})
	f.Add(file)
	f.Add(file[:700])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, file []byte) {
		contents, err := backup.Check(bytes.NewReader(file))
		if err != nil && market.ErrorCode(err) != market.Invalid {
			t.Errorf("%v", err)
		}
		if err == nil && contents.Format != 1 {
			t.Errorf("%+v is whole", contents)
		}
	})
}
