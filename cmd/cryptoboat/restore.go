package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/cryptoboat/cryptoboat/internal/backup"
)

// runRestore fills an empty database from a file of runBackup's.
func runRestore(ctx context.Context, e environment, flags *flag.FlagSet, arguments []string) error {
	create := flags.Bool("create", false, "make the database itself too, where the server has none of that name")
	check := flags.Bool("check", false, "read the file to its end and compare its checksums; no database is needed, none is changed")
	if err := parse(flags, arguments); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return fmt.Errorf("name a file that cryptoboat backup made; %w", errUsage)
	}
	file, err := os.Open(flags.Arg(0))
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer file.Close()
	if *check {
		reader, bar, err := showReading(e, file, "checking")
		if err != nil {
			return err
		}
		contents, err := backup.Check(reader)
		bar.clear()
		if err != nil {
			return err
		}
		fmt.Fprintf(e.out, "%s is whole: %s\n", flags.Arg(0), describeBackup(contents))
		return nil
	}
	if *create {
		if err := createDatabase(ctx, e); err != nil {
			return err
		}
	}
	database, err := connectDatabase(ctx, e)
	if err != nil {
		return err
	}
	defer database.Close()
	reader, bar, err := showReading(e, file, "restoring")
	if err != nil {
		return err
	}
	contents, err := backup.Restore(ctx, reader, database)
	bar.clear()
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "restored %s. Sessions are not in a backup: everybody logs in anew\n", describeBackup(contents))
	return nil
}

// showReading returns a reader of the file that shows how far it has come.
func showReading(e environment, file *os.File, label string) (io.Reader, *progress, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("look at the file: %w", err)
	}
	bar := newProgress(e.errors, label, info.Size()/1000, "kB")
	return bufio.NewReaderSize(&shownReader{file, 0, bar}, 1<<20), bar, nil
}

type shownReader struct {
	io.Reader
	read int64
	bar  *progress
}

func (r *shownReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.read += int64(n)
	r.bar.show(r.read / 1000)
	return n, err
}
