package timescale_test

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

var _ history.Store = (*timescale.Database)(nil)

// pageOf is the page that asked for just the places of the candles.
func pageOf(series market.Series, candles []market.Candle) history.Page {
	return history.Page{
		Asked: market.TimeRange{
			Start: series.Interval.Floor(candles[0].OpenTime),
			End:   series.Interval.Next(series.Interval.Floor(candles[len(candles)-1].OpenTime)),
		},
		Candles: candles, Asking: newYear.AddDate(1, 0, 0),
	}
}

func writePage(t testing.TB, d *timescale.Database, series market.Series, page history.Page) history.WriteResult {
	t.Helper()
	result, err := d.WritePage(t.Context(), series, page)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func emptyRanges(t testing.TB, d *timescale.Database, series market.Series) []history.EmptyRange {
	t.Helper()
	rows, _ := d.Pool().Query(t.Context(), `
		SELECT start_time, end_time, asked, last_asked, confirmed FROM empty_ranges
		WHERE symbol = $1 AND interval = $2 ORDER BY start_time`, series.Symbol, series.Interval)
	ranges, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (history.EmptyRange, error) {
		var e history.EmptyRange
		var confirmed bool
		err := row.Scan(&e.Start, &e.End, &e.Asked, &e.LastAsked, &confirmed)
		if err == nil && confirmed != e.Confirmed() {
			err = fmt.Errorf("%+v is stored as confirmed: %t", e, confirmed)
		}
		return e, err
	})
	if err != nil {
		t.Fatal(err)
	}
	for k := range ranges {
		if k > 0 && ranges[k].Start.Before(ranges[k-1].End) {
			t.Errorf("%+v and %+v overlap", ranges[k-1], ranges[k])
		}
	}
	return ranges
}

func TestPagesAreStoredAndMerged(t *testing.T) {
	d := timescaletest.Open(t)
	candles := walk(market.Minute15, newYear, 1000)
	candles[5].Trades, candles[5].QuoteVolume = market.Optional[int64]{}, market.Optional[float64]{}
	touched := market.TimeRange{Start: newYear, End: newYear.Add(1000 * 15 * time.Minute)}
	result := writePage(t, d, btc15m, pageOf(btc15m, candles))
	if want := (history.WriteResult{New: 1000, Touched: touched}); !reflect.DeepEqual(result, want) {
		t.Errorf("new: %+v, want %+v", result, want)
	}
	versions := `SELECT array_agg(xmin::text || xmax::text ORDER BY open_time)::text FROM candles WHERE xmax IS NOT NULL`
	before := ask[string](t, d, versions)[0]
	result = writePage(t, d, btc15m, pageOf(btc15m, candles))
	if result.New != 0 || result.Unchanged != 1000 || result.Corrected != 0 || len(result.CorrectedOpenTimes) != 0 || result.Touched != touched {
		t.Errorf("the same again: %+v", result)
	}
	if ask[string](t, d, versions)[0] != before {
		t.Error("unchanged candles were written or locked")
	}

	page := slices.Clone(candles)
	page[3].Close = page[3].Open
	page[4].Volume /= 2
	page[4].TakerBuyVolume, page[4].TakerBuyQuoteVolume = market.Optional[float64]{}, market.Optional[float64]{}
	for _, k := range []int{10, 11} { // absent columns erase nothing
		page[k].QuoteVolume, page[k].Trades = market.Optional[float64]{}, market.Optional[int64]{}
		page[k].TakerBuyVolume, page[k].TakerBuyQuoteVolume = market.Optional[float64]{}, market.Optional[float64]{}
	}
	page[11].High *= 2
	page = append(page, walk(market.Minute15, candles[999].OpenTime.Add(15*time.Minute), 7)...)
	result = writePage(t, d, btc15m, pageOf(btc15m, page))
	if result.New != 7 || result.Corrected != 3 || result.Unchanged != 997 ||
		!slices.Equal(result.CorrectedOpenTimes, []time.Time{page[3].OpenTime, page[4].OpenTime, page[11].OpenTime}) {
		t.Errorf("corrections and news: %+v", result)
	}
	want := slices.Clone(page)
	want[10] = candles[10]
	want[11] = candles[11]
	want[11].High *= 2
	if got, err := d.StoredCandles(t.Context(), btc15m, forever, 2000); err != nil || !slices.Equal(got, want) {
		t.Errorf("%d candles are stored (%v), want %d, or other values", len(got), err, len(want))
	}
	for k := range page {
		page[k].High *= 3
	}
	for name, result := range map[string]history.WriteResult{
		"a page": writePage(t, d, btc15m, pageOf(btc15m, page[:500])), "a file": write(t, d, btc15m, page),
	} {
		if len(result.CorrectedOpenTimes) != 20 || !result.CorrectedOpenTimes[0].After(newYear.Add(-1)) || !slices.IsSortedFunc(result.CorrectedOpenTimes, time.Time.Compare) {
			t.Errorf("%s that corrects %d candles names %v", name, result.Corrected, result.CorrectedOpenTimes)
		}
	}
}

func TestStoredCandlesAreThoseDelivered(t *testing.T) {
	d := timescaletest.Open(t)
	write(t, d, market.Series{Symbol: "BTCUSDT", Interval: market.Minute5}, walk(market.Minute5, newYear, 300))
	delivered := walk(market.Minute15, newYear.Add(time.Hour), 20)
	write(t, d, btc15m, delivered)
	for limit, want := range map[int][]market.Candle{100: delivered, 3: delivered[:3], 0: nil} {
		if got, err := d.StoredCandles(t.Context(), btc15m, forever, limit); err != nil || !slices.Equal(got, want) {
			t.Errorf("of %d at most: %d candles, %v", limit, len(got), err)
		}
	}
}

func TestEmptyPagesCount(t *testing.T) {
	d := timescaletest.Open(t)
	candles := walk(market.Minute15, newYear, 96)
	hole := append(candles[:20:20], candles[30:]...)
	page := pageOf(btc15m, hole)
	page.Asking = page.Asking.Add(123) // finer than the database keeps
	for occasion := range 4 {
		if result := writePage(t, d, btc15m, page); result.Touched != pageOf(btc15m, hole).Asked {
			t.Errorf("occasion %d: %+v", occasion, result)
		}
		writePage(t, d, btc15m, page) // on the same occasion
		want := []history.EmptyRange{{
			TimeRange: market.TimeRange{Start: candles[20].OpenTime, End: candles[30].OpenTime},
			Asked:     occasion + 1, LastAsked: page.Asking.Truncate(time.Microsecond),
		}}
		if got := emptyRanges(t, d, btc15m); !reflect.DeepEqual(got, want) {
			t.Errorf("occasion %d: %+v, want %+v", occasion, got, want)
		}
		gaps, err := d.Gaps(t.Context(), btc15m, page.Asked)
		cause := map[bool]history.GapCause{false: history.Pending, true: history.ConfirmedEmpty}[want[0].Confirmed()]
		if err != nil || len(gaps) != 1 || gaps[0].Cause != cause || gaps[0].Asked != occasion+1 || gaps[0].Missing != 10 {
			t.Errorf("occasion %d: the gaps are %+v, %v", occasion, gaps, err)
		}
		page.Asking = page.Asking.Add(time.Hour)
	}
	empty := history.Page{Asked: page.Asked, Asking: page.Asking}
	empty.Asked.Start, empty.Asked.End = page.Asked.End, page.Asked.End.Add(time.Hour)
	if result := writePage(t, d, btc15m, empty); !reflect.DeepEqual(result, history.WriteResult{}) {
		t.Errorf("an empty page: %+v", result)
	}
	if got := emptyRanges(t, d, btc15m); len(got) != 2 {
		t.Errorf("after an empty page: %+v", got)
	}
	writePage(t, d, btc15m, pageOf(btc15m, candles))
	if got := emptyRanges(t, d, btc15m); len(got) != 1 || !got[0].Start.Equal(empty.Asked.Start) {
		t.Errorf("after the hole was filled: %+v", got)
	}
}

func TestAPageIsWrittenWholeOrNotAtAll(t *testing.T) {
	d := timescaletest.Open(t)
	candles := walk(market.Minute15, newYear, 100)
	page := pageOf(btc15m, append(candles[:20:20], candles[30:]...))
	page.Candles[70].Low = -1
	for _, path := range []string{"copied", "merged"} {
		if _, err := d.WritePage(t.Context(), btc15m, page); err == nil {
			t.Errorf("%s: a negative price was stored", path)
		}
		if got, empty := read(t, d, btc15m, forever, 1000), emptyRanges(t, d, btc15m); len(got) > 1 || len(empty) != 0 {
			t.Errorf("%s: %d candles and %+v were left behind", path, len(got), empty)
		}
		write(t, d, btc15m, candles[:1])
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err := d.WritePage(stopped, btc15m, pageOf(btc15m, candles)); err == nil {
		t.Error("a stopped write reports success")
	}
}

// model is what a series should hold, place by place.
type model struct {
	candles map[time.Time]market.Candle
	empty   map[time.Time]history.EmptyRange
}

func TestAnyPagesLeaveWhatTheySaid(t *testing.T) {
	d := timescaletest.Open(t)
	interval := market.Hour1
	at := func(k int) time.Time { return newYear.Add(time.Duration(k) * time.Hour) }
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		series := market.Series{Symbol: market.Symbol(fmt.Sprint("RUN", run)), Interval: interval}
		m := model{map[time.Time]market.Candle{}, map[time.Time]history.EmptyRange{}}
		asking := newYear
		for range rapid.IntRange(1, 8).Draw(r, "pages") {
			asking = asking.Add(rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour}).Draw(r, "later"))
			start := rapid.IntRange(0, 20).Draw(r, "start")
			end := start + rapid.IntRange(1, 12).Draw(r, "places")
			page := history.Page{Asked: market.TimeRange{Start: at(start), End: at(end)}, Asking: asking}
			var want history.WriteResult
			for k := start; k < end; k++ {
				open := at(k)
				if _, stored := m.candles[open]; !stored && rapid.IntRange(0, 2).Draw(r, "missing") == 0 {
					e, known := m.empty[open]
					switch {
					case !known:
						m.empty[open] = history.EmptyRange{Asked: 1, LastAsked: asking}
					case asking.Sub(e.LastAsked) >= 10*time.Minute:
						m.empty[open] = history.EmptyRange{Asked: e.Asked + 1, LastAsked: asking}
					}
					continue
				}
				c := walk(interval, open, 1)[0]
				c.Volume = float64(rapid.IntRange(1, 2).Draw(r, "volume"))
				c.QuoteVolume, c.TakerBuyVolume, c.TakerBuyQuoteVolume = market.Optional[float64]{}, market.Some(0.5), market.Some(7.0)
				page.Candles = append(page.Candles, c)
				old, stored := m.candles[open]
				switch {
				case !stored:
					want.New++
				case old == c:
					want.Unchanged++
				default:
					want.Corrected++
					want.CorrectedOpenTimes = append(want.CorrectedOpenTimes, open)
				}
				m.candles[open] = c
				delete(m.empty, open)
			}
			if n := len(page.Candles); n > 0 {
				want.Touched = market.TimeRange{Start: page.Candles[0].OpenTime, End: interval.Next(page.Candles[n-1].OpenTime)}
			}
			got := writePage(t, d, series, page)
			if len(got.CorrectedOpenTimes) == 0 {
				got.CorrectedOpenTimes = nil
			}
			if !reflect.DeepEqual(got, want) {
				r.Fatalf("page %+v gave %+v, want %+v", page, got, want)
			}
		}
		stored, err := d.StoredCandles(t.Context(), series, forever, 1000)
		wanted := slices.SortedFunc(maps.Values(m.candles), func(a, b market.Candle) int { return a.OpenTime.Compare(b.OpenTime) })
		if err != nil || !slices.Equal(stored, wanted) {
			r.Fatalf("stored are %+v (%v), want %+v", stored, err, wanted)
		}
		empty := map[time.Time]history.EmptyRange{}
		for _, e := range emptyRanges(t, d, series) {
			for place := e.Start; place.Before(e.End); place = interval.Next(place) {
				empty[place] = history.EmptyRange{Asked: e.Asked, LastAsked: e.LastAsked}
			}
		}
		if !maps.Equal(empty, m.empty) {
			r.Fatalf("known to be empty are %+v, want %+v", empty, m.empty)
		}
	})
}

func TestPagesOfOneSeriesTakeTurns(t *testing.T) {
	d := timescaletest.Open(t)
	const writers, places, shift = 6, 40, 12
	all := walk(market.Minute15, newYear, writers*shift+places)
	for round := range 10 {
		series := market.Series{Symbol: market.Symbol(fmt.Sprint("ROUND", round)), Interval: market.Minute15}
		var mutex sync.Mutex
		var total history.WriteResult
		var working sync.WaitGroup
		for w := range writers {
			working.Go(func() {
				part := all[w*shift : w*shift+places]
				page := pageOf(series, part)
				page.Candles = nil
				for k, c := range part {
					if (w*shift+k)%4 != 0 {
						page.Candles = append(page.Candles, c)
					}
				}
				result, err := d.WritePage(context.WithoutCancel(t.Context()), series, page)
				if err != nil {
					t.Error(err)
				}
				mutex.Lock()
				defer mutex.Unlock()
				total.New += result.New
				total.Unchanged += result.Unchanged
				total.Corrected += result.Corrected
			})
		}
		working.Wait()
		asked := (writers-1)*shift + places
		if total.New != int64(asked*3/4) || total.Corrected != 0 || total.New+total.Unchanged != writers*places*3/4 {
			t.Errorf("round %d: in all %+v, want %d new", round, total, asked*3/4)
		}
		empty := 0
		for _, e := range emptyRanges(t, d, series) {
			empty += int(e.End.Sub(e.Start) / (15 * time.Minute))
			if e.Asked != 1 {
				t.Errorf("round %d: one occasion counts as %d in %+v", round, e.Asked, e)
			}
		}
		if empty != asked/4 {
			t.Errorf("round %d: %d places are known to be empty, want %d", round, empty, asked/4)
		}
	}
}

// BenchmarkPages writes 175,000 candles an iteration: new ones in one COPY, to
// compare with, and in pages, and then pages of what is stored.
func BenchmarkPages(b *testing.B) {
	const candles = 175_000
	all := walk(market.Minute15, history.FirstListing, candles)
	for _, benchmark := range []struct {
		name  string
		write func(b *testing.B, d *timescale.Database)
	}{
		{"one COPY", func(b *testing.B, d *timescale.Database) { copyAll(b, d, btc15m, all) }},
		{"pages of one series", func(b *testing.B, d *timescale.Database) { writePages(b, d, btc15m, all) }},
		{"pages of two series", func(b *testing.B, d *timescale.Database) {
			var working sync.WaitGroup
			for _, symbol := range []market.Symbol{"BTCUSDT", "ETHUSDT"} {
				working.Go(func() { writePages(b, d, market.Series{Symbol: symbol, Interval: market.Minute15}, all[:candles/2]) })
			}
			working.Wait()
		}},
		{"pages that are stored", func(b *testing.B, d *timescale.Database) {
			b.StopTimer()
			writePages(b, d, btc15m, all)
			b.StartTimer()
			writePages(b, d, btc15m, all)
		}},
	} {
		b.Run(benchmark.name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				d := timescaletest.Open(b)
				b.StartTimer()
				benchmark.write(b, d)
			}
			b.ReportMetric(float64(candles*b.N)/b.Elapsed().Seconds(), "candles/s")
		})
	}
}

func writePages(b *testing.B, d *timescale.Database, series market.Series, candles []market.Candle) {
	for page := range slices.Chunk(candles, history.PageLimit) {
		if _, err := d.WritePage(b.Context(), series, pageOf(series, page)); err != nil {
			b.Error(err)
		}
	}
}

func copyAll(b *testing.B, d *timescale.Database, series market.Series, candles []market.Candle) {
	columns := []string{
		"symbol", "interval", "open_time", "open", "high", "low", "close", "volume",
		"quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume",
	}
	_, err := d.Pool().CopyFrom(b.Context(), pgx.Identifier{"candles"}, columns, pgx.CopyFromSlice(len(candles), func(k int) ([]any, error) {
		c := candles[k]
		return []any{
			string(series.Symbol), string(series.Interval), c.OpenTime, c.Open, c.High, c.Low, c.Close, c.Volume,
			c.QuoteVolume.Value, c.Trades.Value, c.TakerBuyVolume.Value, c.TakerBuyQuoteVolume.Value,
		}, nil
	}))
	if err != nil {
		b.Error(err)
	}
}

func BenchmarkGaps(b *testing.B) {
	d := timescaletest.Open(b)
	window := market.TimeRange{Start: history.FirstListing, End: history.FirstListing.Add(313_000 * 15 * time.Minute)}
	candles := walk(market.Minute15, window.Start, 313_000)
	candles = slices.DeleteFunc(candles, func(c market.Candle) bool { return c.OpenTime.Unix()/900%9973 < 9 })
	copyAll(b, d, btc15m, candles)
	b.ResetTimer()
	for range b.N {
		if gaps, err := d.Gaps(b.Context(), btc15m, window); err != nil || len(gaps) < 30 {
			b.Fatalf("%d gaps, %v", len(gaps), err)
		}
	}
}
