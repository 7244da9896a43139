package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/cryptoboat/cryptoboat/internal/backup"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// runBackup writes the database into a file, which bears its name when it is whole.
func runBackup(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	if err := parse(flags, arguments); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return fmt.Errorf("name a file to write, or a folder to write one into; %w", errUsage)
	}
	database, err := connectDatabase(ctx, e)
	if err != nil {
		return err
	}
	defer database.Close()
	return database.Snapshot(ctx, func(source backup.Source) error {
		contents, err := source.Contents(ctx)
		if err != nil {
			return err
		}
		path := flags.Arg(0)
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			path = filepath.Join(path, "cryptoboat-"+contents.TakenAt.UTC().Format("2006-01-02T150405Z")+".tar")
		}
		bar := newProgress(e.errors, "backing up", contents.Rows(), "rows")
		size, err := createWhole(path, func(w io.Writer) error {
			_, err := backup.Write(ctx, source, w, func(done, _ int64) { bar.show(done) })
			return err
		})
		bar.clear()
		if err != nil {
			return err
		}
		fmt.Fprintf(e.out, "%s: %s, %.1f MB\n", path, describeBackup(contents), float64(size)/1e6)
		return nil
	})
}

func describeBackup(contents backup.Contents) string {
	return fmt.Sprintf("%d rows of %d tables as of %s, schema %d",
		contents.Rows(), len(contents.Tables), instant(contents.TakenAt), contents.Schema)
}

// createWhole makes a file that only its owner reads, by a name that nothing has yet.
// It gets the name when it is on the disk to its end; before, it has another one, which
// a process that is killed leaves behind.
func createWhole(path string, write func(io.Writer) error) (size int64, err error) {
	if _, err := os.Lstat(path); err == nil {
		return 0, market.Errorf(market.Conflict, "%s exists: choose another name, or remove it first", path)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".unfinished-*.tar")
	if err != nil {
		return 0, fmt.Errorf("make the file: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	buffered := bufio.NewWriterSize(file, 1<<20)
	err = write(buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = file.Sync()
	}
	if info, errStat := file.Stat(); err == nil && errStat == nil {
		size = info.Size()
	}
	if errClose := file.Close(); err == nil {
		err = errClose
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	return size, err
}
