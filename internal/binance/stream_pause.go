package binance

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
)

// pauseStoreTimeout bounds how long a store may hold up a connection.
const pauseStoreTimeout = 5 * time.Second

// streamPause is the pause that a host last asked those who connect to its
// streams for.
type streamPause struct {
	host  string
	store PauseStore
	log   *slog.Logger

	mu    sync.Mutex
	known history.Pause // the one that ends last of all that were told and read
	read  bool          // the store has been, so that known holds for earlier processes too
}

// check returns a history.PausedError while the host must not be asked, and an
// error where the store cannot tell. Once it has told, a store that is away
// keeps nobody from connecting: what the stream says meanwhile is lost for good.
func (p *streamPause) check(ctx context.Context) error {
	timed, cancel := context.WithTimeout(ctx, pauseStoreTimeout)
	defer cancel()
	stored, err := p.store.Pause(timed, p.host)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.read = true
		p.extend(stored)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !p.read:
		return fmt.Errorf("reading whether the exchange asked us to wait: %w", err)
	default:
		p.log.Warn("whether another process was asked to wait cannot be read: connecting all the same",
			slog.String("host", p.host), slog.Any("error", err))
	}
	if time.Now().Before(p.known.Until) {
		return pausedError(p.known)
	}
	return nil
}

// keep takes note of a pause and stores it, even for a caller that has gone. It
// returns the one that holds, which is an earlier one where that ends later.
func (p *streamPause) keep(ctx context.Context, told history.Pause) history.Pause {
	p.mu.Lock()
	p.extend(told)
	holds := p.known
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pauseStoreTimeout)
	defer cancel()
	if err := p.store.SetPause(ctx, p.host, holds); err != nil {
		p.log.Error("the pause of the exchange's streams could not be stored: a process started anew would not keep to it",
			slog.String("host", p.host), slog.Time("until", holds.Until), slog.Any("error", err))
	}
	return holds
}

// extend replaces the known pause by one that ends later. The caller holds p.mu.
func (p *streamPause) extend(pause history.Pause) {
	if pause.Until.After(p.known.Until) {
		p.known = pause
	}
}
