package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// mostPasswordLine bounds what is read of standard input, in bytes.
const mostPasswordLine = 4096

// askPassword returns a user's new password: from the environment, else typed twice at
// a terminal that does not show it, else the first line of what is piped in.
func askPassword(ctx context.Context, e environment) (string, error) {
	if password := e.get(passwordVariable); password != "" {
		return password, nil
	}
	if terminal, ok := e.in.(*os.File); ok && term.IsTerminal(int(terminal.Fd())) {
		return typePassword(ctx, e.errors, terminal)
	}
	line, err := bufio.NewReader(io.LimitReader(e.in, mostPasswordLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read a password: %w", err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if password == "" {
		return "", market.Errorf(market.Invalid, "give the password at a terminal, as the first line of standard input, or in %s", passwordVariable)
	}
	return password, nil
}

// typePassword has a password typed twice.
func typePassword(ctx context.Context, w io.Writer, terminal *os.File) (string, error) {
	var typed [2]string
	for i, prompt := range []string{"Password: ", "Once more: "} {
		fmt.Fprint(w, prompt)
		password, err := readHidden(ctx, terminal)
		fmt.Fprintln(w)
		if err != nil {
			return "", fmt.Errorf("read a password: %w", err)
		}
		typed[i] = password
	}
	if typed[0] != typed[1] {
		return "", market.Errorf(market.Invalid, "the two passwords differ")
	}
	return typed[0], nil
}

// readHidden reads a line that is not shown. When ctx ends first, as it does by
// Ctrl-C, the terminal shows again what is typed.
func readHidden(ctx context.Context, terminal *os.File) (string, error) {
	descriptor := int(terminal.Fd())
	before, err := term.GetState(descriptor)
	if err != nil {
		return "", err
	}
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(descriptor)
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		return string(l.text), l.err
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(descriptor, before))
	}
}
