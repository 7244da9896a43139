package history

import (
	"context"
	"io"
	"maps"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

var (
	bitcoin = market.Series{Symbol: "BTCUSDT", Interval: market.Minute15}
	ether   = market.Series{Symbol: "ETHUSDT", Interval: market.Minute15}
)

// candleAt is the candle of the k-th interval, told from others by its price.
func candleAt(k int, price float64) market.Candle {
	return market.Candle{
		OpenTime: time.Date(2024, time.January, 1, 0, 15*k, 0, 0, time.UTC),
		Open:     price, High: price, Low: price, Close: price, Volume: 1,
		Source: market.Minute15, Parts: 1,
	}
}

// candles are count of them from the k-th interval on.
func candles(k, count int, price float64) []any {
	rows := make([]any, count)
	for n := range rows {
		rows[n] = candleAt(k+n, price)
	}
	return rows
}

// fileOf is a file of rows: candles, errors, and functions that are called when
// reading comes to them.
func fileOf(name string, series market.Series, rows ...any) CandleFile {
	return CandleFile{
		Name: name, Bytes: int64(len(rows)), Series: series,
		Open: func(ctx context.Context) (CandleReader, error) {
			return &rowsReader{ctx: ctx, rows: rows}, nil
		},
	}
}

type rowsReader struct {
	ctx  context.Context
	rows []any
}

func (r *rowsReader) Close() error { return nil }

func (r *rowsReader) Next() (market.Candle, error) {
	for len(r.rows) > 0 {
		if err := r.ctx.Err(); err != nil {
			return market.Candle{}, err
		}
		row := r.rows[0]
		r.rows = r.rows[1:]
		switch row := row.(type) {
		case func():
			row()
		case error:
			return market.Candle{}, row
		case market.Candle:
			return row, nil
		}
	}
	return market.Candle{}, io.EOF
}

// memory stores candles in transactions and knows which days' roll-ups have
// gone stale.
type memory struct {
	mu      sync.Mutex
	candles map[market.Series]map[time.Time]market.Candle
	stale   map[market.Series]map[time.Time]bool

	// Where set, they run before a transaction ends, after it has, and before
	// a refresh, and their error is what comes of it.
	commit, committed, refresh func(market.Series) error
	restarts                   int // attempts that every write gives up first

	received int // candles read, stored or not
}

func newMemory() *memory {
	return &memory{
		candles: map[market.Series]map[time.Time]market.Candle{},
		stale:   map[market.Series]map[time.Time]bool{},
	}
}

func run(hook func(market.Series) error, series market.Series) error {
	if hook == nil {
		return nil
	}
	return hook(series)
}

func (m *memory) WriteCandles(
	ctx context.Context, series market.Series, open func() (CandleReader, error),
) (WriteResult, error) {
	for range m.restarts {
		reader, err := open()
		if err != nil {
			return WriteResult{}, err
		}
		reader.Next()
		reader.Close()
	}
	reader, err := open()
	if err != nil {
		return WriteResult{}, err
	}
	defer reader.Close()
	m.mu.Lock()
	stored := maps.Clone(m.candles[series])
	stale := maps.Clone(m.stale[series])
	m.mu.Unlock()
	if stored == nil {
		stored, stale = map[time.Time]market.Candle{}, map[time.Time]bool{}
	}
	var result WriteResult
	for {
		candle, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return WriteResult{}, err
		}
		m.mu.Lock()
		m.received++
		m.mu.Unlock()
		before, known := stored[candle.OpenTime]
		switch {
		case !known:
			result.New++
		case before == candle:
			result.Unchanged++
		default:
			result.Corrected++
		}
		if before != candle {
			stale[market.Day1.Floor(candle.OpenTime)] = true
		}
		stored[candle.OpenTime] = candle
		if result.Touched.Empty() || candle.OpenTime.Before(result.Touched.Start) {
			result.Touched.Start = candle.OpenTime
		}
		if end := series.Interval.Next(candle.OpenTime); end.After(result.Touched.End) {
			result.Touched.End = end
		}
	}
	if err := ctx.Err(); err != nil {
		return WriteResult{}, err
	}
	if err := run(m.commit, series); err != nil {
		return WriteResult{}, err
	}
	m.mu.Lock()
	m.candles[series], m.stale[series] = stored, stale
	m.mu.Unlock()
	return result, run(m.committed, series)
}

func (m *memory) RefreshRollUps(ctx context.Context, series market.Series, touched market.TimeRange) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := run(m.refresh, series); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.stale[series], func(day time.Time, _ bool) bool {
		return day.Before(touched.End) && market.Day1.Next(day).After(touched.Start)
	})
	return nil
}

// count returns how many candles are stored and how many days are stale.
func (m *memory) count() (stored, stale int) {
	for series := range m.candles {
		stored += len(m.candles[series])
		stale += len(m.stale[series])
	}
	return stored, stale
}
