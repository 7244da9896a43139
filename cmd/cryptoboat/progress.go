package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress shows how far long work has come: a bar that redraws itself on a
// terminal, a line now and then where the output is piped.
type progress struct {
	w        io.Writer
	terminal bool
	label    string
	total    int64
	unit     string
	started  time.Time
	shown    time.Time
}

const (
	redraw    = 100 * time.Millisecond
	lineEvery = 5 * time.Second
	barWidth  = 24
)

func newProgress(w io.Writer, label string, total int64, unit string) *progress {
	now := time.Now()
	return &progress{w: w, terminal: isTerminal(w), label: label, total: total, unit: unit, started: now, shown: now}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// show says that so much of the total is done, if it has been a while.
func (p *progress) show(done int64) {
	now := time.Now()
	wait := lineEvery
	if p.terminal {
		wait = redraw
	}
	if now.Sub(p.shown) < wait {
		return
	}
	p.shown = now
	if p.terminal {
		filled := int(barWidth * min(done, p.total) / max(p.total, 1))
		fmt.Fprintf(p.w, "\r\033[K%s [%s%s] %s", p.label,
			strings.Repeat("#", filled), strings.Repeat(".", barWidth-filled), p.state(done, now))
		return
	}
	fmt.Fprintf(p.w, "%s: %s\n", p.label, p.state(done, now))
}

func (p *progress) state(done int64, now time.Time) string {
	elapsed := now.Sub(p.started).Seconds()
	rate := float64(done) / max(elapsed, 1e-3)
	state := fmt.Sprintf("%d of %d %s, %.0f/s", done, p.total, p.unit, rate)
	if done > 0 && done < p.total {
		left := time.Duration(float64(p.total-done) / rate * float64(time.Second))
		state += ", " + left.Round(time.Second).String() + " left"
	}
	return state
}

// clear removes the bar, so that a line of text can take its place.
func (p *progress) clear() {
	if p.terminal {
		fmt.Fprint(p.w, "\r\033[K")
		p.shown = time.Time{}
	}
}
