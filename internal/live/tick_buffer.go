package live

import (
	"maps"
	"sort"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Bounds of what a tickBuffer holds while the database is away: an hour, or as
// much as takes some 60 MB.
const (
	heldFor   = time.Hour
	mostTicks = 200_000
)

// batchSize is how many ticks are stored in one go at most, and as long as none
// is refused.
const batchSize = 5000

// tickBuffer holds ticks, and the account of those that are missing, until they
// are stored. It is safe for concurrent use, by one writer.
type tickBuffer struct {
	every time.Duration
	limit int           // of ticks
	full  chan struct{} // holds a token when there is a batch to be stored

	mu       sync.Mutex
	first    time.Time     // place of the grid that the account begins with
	ticks    []market.Tick // by when they were sampled
	writing  int           // of them, from the first on, that are being stored
	dropped  int64         // since droppedTicks was asked
	accounts map[market.Symbol]*account
}

func newTickBuffer(series []market.Series, every time.Duration) *tickBuffer {
	b := &tickBuffer{every: every, full: make(chan struct{}, 1), accounts: map[market.Symbol]*account{}}
	for _, s := range series {
		b.accounts[s.Symbol] = &account{symbol: s.Symbol, missing: map[GapReason]int64{}}
	}
	if every > 0 {
		b.limit = min(len(series)*int(heldFor/every), mostTicks)
	}
	return b
}

// begin sets the place that the account begins with.
func (b *tickBuffer) begin(first time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.first = first
}

// add holds a tick, which is not older than any before.
func (b *tickBuffer) add(tick market.Tick) {
	b.mu.Lock()
	defer b.mu.Unlock()
	account := b.accounts[tick.Symbol]
	account.growing = false
	account.held++
	b.ticks = append(b.ticks, tick)
	b.trim()
	if len(b.ticks) >= batchSize {
		select {
		case b.full <- struct{}{}:
		default:
		}
	}
}

// miss takes note of places that have no tick.
func (b *tickBuffer) miss(symbol market.Symbol, places market.TimeRange, reason GapReason) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accounts[symbol].miss(StreamGap{
		Symbol: symbol, TimeRange: places, Missing: b.places(places), Reason: reason,
	})
}

// precede takes note of how far the account of a symbol went before it begins
// here. What lies between was missed by everybody.
func (b *tickBuffer) precede(symbol market.Symbol, until market.Optional[time.Time]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	account := b.accounts[symbol]
	account.preceded = true
	if !until.Valid {
		return
	}
	between := market.TimeRange{Start: ceil(until.Value, b.every), End: b.first}
	if !between.Empty() {
		account.insert(0, StreamGap{
			Symbol: symbol, TimeRange: between, Missing: b.places(between), Reason: NotRunning,
		})
	}
}

// unpreceded returns the symbols that precede was not told of.
func (b *tickBuffer) unpreceded() []market.Symbol {
	b.mu.Lock()
	defer b.mu.Unlock()
	var symbols []market.Symbol
	for symbol, account := range b.accounts {
		if !account.preceded {
			symbols = append(symbols, symbol)
		}
	}
	return symbols
}

// next returns what is to be stored next: so many ticks at most or a gap, or
// neither. All says that gaps that still grow are to be stored as far as they go.
//
// What belongs to a symbol is stored in the order of the grid. Wherever that is
// broken off, all places are accounted for up to one, and none after it.
func (b *tickBuffer) next(all bool, most int) ([]market.Tick, *StreamGap) {
	b.mu.Lock()
	defer b.mu.Unlock()
	growth := int(storeGrowth / b.every)
	if all {
		growth = 1
	}
	var gap *StreamGap
	for _, account := range b.accounts {
		if due := account.due(growth); due != nil && (gap == nil || due.Start.Before(gap.Start)) {
			gap = due
		}
	}
	n := len(b.ticks)
	if gap != nil {
		n = sort.Search(n, func(k int) bool { return !b.ticks[k].SampledAt.Before(gap.Start) })
	}
	if n > 0 {
		b.writing = min(n, most)
		return b.ticks[:b.writing], nil
	}
	if gap != nil {
		copied := *gap
		gap = &copied
	}
	return nil, gap
}

// wrote takes note of what became of the ticks that next returned.
func (b *tickBuffer) wrote(stored bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if stored {
		for k := range b.ticks[:b.writing] {
			account := b.accounts[b.ticks[k].Symbol]
			account.held--
			account.samples++
		}
		b.ticks = b.ticks[b.writing:]
	}
	b.writing = 0
	b.trim()
}

// setAside drops the one tick that next returned, and accounts for it.
func (b *tickBuffer) setAside() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accounts[b.ticks[0].Symbol].refused++
	b.drop()
	b.writing = 0
	b.trim()
}

// wroteGap takes note of a gap that is stored.
func (b *tickBuffer) wroteGap(gap StreamGap) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accounts[gap.Symbol].wrote(gap)
}

// trim drops the oldest ticks beyond the limit and accounts for them. While some
// are being stored it waits until it is known what has become of them.
func (b *tickBuffer) trim() {
	for len(b.ticks) > b.limit && b.writing == 0 {
		b.drop()
		b.dropped++
	}
}

// drop drops the first tick and accounts for it.
func (b *tickBuffer) drop() {
	first := &b.ticks[0]
	places := market.TimeRange{Start: first.SampledAt, End: first.SampledAt.Add(b.every)}
	b.accounts[first.Symbol].drop(places)
	b.ticks = b.ticks[1:]
}

// waiting returns how many ticks are held, and how many were dropped since it
// was called last.
func (b *tickBuffer) waiting() (held int, dropped int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	dropped, b.dropped = b.dropped, 0
	return len(b.ticks), dropped
}

// count fills in what a status says of samples.
func (b *tickBuffer) count(symbols []SymbolStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k := range symbols {
		account := b.accounts[symbols[k].Symbol]
		symbols[k].Samples, symbols[k].Held = account.samples, account.held
		symbols[k].Refused = account.refused
		symbols[k].MissingByReason = maps.Clone(account.missing)
		for _, count := range account.missing {
			symbols[k].Missing += count
		}
	}
}

func (b *tickBuffer) places(r market.TimeRange) int { return int(r.End.Sub(r.Start) / b.every) }
