package history

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// fakeExchange knows the candles of one series, those of the future too.
type fakeExchange struct {
	series market.Series
	truth  []market.Candle // oldest first, as they are once they are closed
	listed time.Time
	most   int // candles in one answer

	// The clock shows base when the exchange opens, and runs as the bubble's.
	base   time.Time
	opened time.Time

	// fail, where set, decides of the k-th request for candles, from 0, what
	// comes of it instead of an answer.
	fail func(k int) error
	// damage, where set, changes the answer to the k-th request.
	damage func(k int, answer []market.Candle)

	mu       sync.Mutex
	asked    []market.TimeRange // in order
	listings int
	inFlight int
	busiest  int
}

func (e *fakeExchange) time() time.Time { return e.base.Add(time.Since(e.opened)) }

func (e *fakeExchange) Now(ctx context.Context) (time.Time, error) { return e.time(), ctx.Err() }

func (e *fakeExchange) Listed(_ context.Context, symbol market.Symbol) (time.Time, error) {
	e.listings++
	if symbol != e.series.Symbol {
		return time.Time{}, market.Errorf(market.NotFound, "no pair is called %s", symbol)
	}
	return e.listed, nil
}

func (e *fakeExchange) Candles(ctx context.Context, series market.Series, r market.TimeRange) ([]market.Candle, error) {
	e.mu.Lock()
	request := len(e.asked)
	e.asked = append(e.asked, r)
	e.inFlight++
	e.busiest = max(e.busiest, e.inFlight)
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.inFlight--
		e.mu.Unlock()
	}()
	time.Sleep(100 * time.Millisecond) // the way there and back
	if e.fail != nil {
		if err := e.fail(request); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	now := e.time()
	first, _ := slices.BinarySearchFunc(e.truth, r.Start, func(c market.Candle, start time.Time) int {
		return c.OpenTime.Compare(start)
	})
	var answer []market.Candle
	for _, c := range e.truth[first:] {
		if !r.Contains(c.OpenTime) || c.OpenTime.After(now) || len(answer) == min(e.most, PageLimit) {
			break
		}
		if series.Interval.Next(c.OpenTime).After(now) {
			c.Close = c.Open / 2 // still open
		}
		answer = append(answer, c)
	}
	if e.damage != nil {
		e.damage(request, answer)
	}
	return answer, nil
}

// fakeStore stores one series.
type fakeStore struct {
	interval market.Interval

	// Where set, they run before a transaction begins and after it has ended, and
	// their error is what comes of it.
	begin, committed func() error
	looking          func() error // runs before all that only reads, and before SetListed
	refreshing       func(context.Context) error

	mu       sync.Mutex
	candles  map[time.Time]market.Candle
	empty    []EmptyRange
	listed   market.Optional[time.Time]
	pages    []Page
	fresh    []market.TimeRange // what was refreshed
	stale    map[time.Time]bool // buckets
	mostRead int
}

func newFakeStore(interval market.Interval) *fakeStore {
	return &fakeStore{interval: interval, candles: map[time.Time]market.Candle{}, stale: map[time.Time]bool{}}
}

func (s *fakeStore) Listed(context.Context, market.Symbol) (market.Optional[time.Time], error) {
	return s.listed, call(s.looking)
}

func (s *fakeStore) SetListed(_ context.Context, _ market.Symbol, listed time.Time) error {
	if err := call(s.looking); err != nil {
		return err
	}
	s.listed = market.Some(listed)
	return nil
}

// Gaps walks place by place.
func (s *fakeStore) Gaps(_ context.Context, _ market.Series, window market.TimeRange) ([]Gap, error) {
	if err := call(s.looking); err != nil {
		return nil, err
	}
	stands := map[time.Time]bool{}
	for open := range s.candles {
		stands[s.interval.Floor(open)] = true
	}
	var gaps []Gap
	for place := window.Start; place.Before(window.End); place = s.interval.Next(place) {
		if _, ok := s.candles[place]; ok {
			continue
		}
		gap := Gap{TimeRange: market.TimeRange{Start: place, End: s.interval.Next(place)}, Missing: 1, Cause: Pending}
		known := slices.IndexFunc(s.empty, func(e EmptyRange) bool { return e.Contains(place) })
		switch {
		case stands[place]:
			gap.Cause = OffGrid
		case place.Before(s.interval.Floor(s.listed.Value)):
			gap.Cause = NotListed
		case known >= 0:
			gap.Asked, gap.LastAsked = s.empty[known].Asked, market.Some(s.empty[known].LastAsked)
			if s.empty[known].Confirmed() {
				gap.Cause = ConfirmedEmpty
			}
		}
		if n := len(gaps); n > 0 {
			last := gaps[n-1]
			if last.End.Equal(place) && last.Cause == gap.Cause && last.Asked == gap.Asked && last.LastAsked == gap.LastAsked {
				gaps[n-1].End = gap.End
				gaps[n-1].Missing++
				continue
			}
		}
		gaps = append(gaps, gap)
	}
	return gaps, nil
}

func (s *fakeStore) WritePage(ctx context.Context, _ market.Series, page Page) (WriteResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := call(s.begin); err != nil {
		return WriteResult{}, err
	}
	if ctx.Err() != nil {
		return WriteResult{}, ctx.Err()
	}
	result := s.commit(page)
	return result, call(s.committed)
}

func (s *fakeStore) commit(page Page) (result WriteResult) {
	for _, c := range page.Candles {
		before, known := s.candles[c.OpenTime]
		switch {
		case !known:
			result.New++
		case before == c:
			result.Unchanged++
			continue
		default:
			result.Corrected++
			result.CorrectedOpenTimes = append(result.CorrectedOpenTimes, c.OpenTime)
		}
		s.candles[c.OpenTime] = c
		s.stale[s.interval.Floor(c.OpenTime)] = true
	}
	concerned := func(e EmptyRange) bool { return !overlap(e.TimeRange, page.Asked).Empty() }
	known := slices.DeleteFunc(slices.Clone(s.empty), func(e EmptyRange) bool { return !concerned(e) })
	s.empty = append(slices.DeleteFunc(s.empty, concerned), EmptyAfter(s.interval, known, page)...)
	slices.SortFunc(s.empty, func(a, b EmptyRange) int { return a.Start.Compare(b.Start) })
	s.pages = append(s.pages, page)
	return result
}

func (s *fakeStore) RefreshRollUps(ctx context.Context, _ market.Series, touched market.TimeRange) error {
	if s.refreshing != nil {
		if err := s.refreshing(ctx); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.fresh = append(s.fresh, touched)
	for bucket := range s.stale {
		if touched.Contains(bucket) {
			delete(s.stale, bucket)
		}
	}
	return nil
}

func (s *fakeStore) StoredCandles(
	_ context.Context, _ market.Series, r market.TimeRange, limit int,
) ([]market.Candle, error) {
	if err := call(s.looking); err != nil {
		return nil, err
	}
	var candles []market.Candle
	for _, open := range s.openTimes() {
		if r.Contains(open) && len(candles) < limit {
			candles = append(candles, s.candles[open])
		}
	}
	s.mostRead = max(s.mostRead, len(candles))
	return candles, nil
}

func (s *fakeStore) openTimes() []time.Time {
	var opens []time.Time
	for open := range s.candles {
		opens = append(opens, open)
	}
	slices.SortFunc(opens, time.Time.Compare)
	return opens
}

func call(hook func() error) error {
	if hook == nil {
		return nil
	}
	return hook()
}

// marketOf is an exchange that lists bitcoin at FirstListing, has count candles
// of it from then on but for those that lacks tells, and whose clock stands at
// the close of the last one. Call it in a bubble.
func marketOf(count int, lacks func(k int) bool) *fakeExchange {
	e := &fakeExchange{
		series: bitcoin, listed: FirstListing, most: PageLimit,
		base: bitcoinPlace(count), opened: time.Now(),
	}
	for k := range count {
		if lacks == nil || !lacks(k) {
			e.truth = append(e.truth, candleOpening(bitcoinPlace(k), market.Minute15, 10))
		}
	}
	return e
}

// bitcoinPlace is the k-th place of bitcoin since its listing.
func bitcoinPlace(k int) time.Time { return placeAfter(bitcoin.Interval, FirstListing, k) }

func bitcoinPlaces(from, to int) market.TimeRange {
	return market.TimeRange{Start: bitcoinPlace(from), End: bitcoinPlace(to)}
}

func candleOpening(open time.Time, interval market.Interval, price float64) market.Candle {
	return market.Candle{
		OpenTime: open, Open: price, High: price, Low: price / 4, Close: price, Volume: 1,
		QuoteVolume: market.Some(price), Source: interval, Parts: 1,
	}
}
