package live

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// fakeStore is every store of a Service, and its Repairer, Checker and Forecaster. It
// refuses what would leave a place of the sampling grid unaccounted for if the
// process were killed right after.
type fakeStore struct {
	every time.Duration
	now   func() time.Time

	mu         sync.Mutex
	ticksAway  error // what the tick store answers
	candleAway error
	refuseOne  func(market.Series, market.Candle) error // what the candle store never takes
	repairAway error
	checkAway  error
	refuse     func(market.Tick) error // what the tick store never takes
	otherAway  error                   // the forecast store
	hang       bool                    // ticks are not even refused
	until      int                     // calls of the tick store that go well before it is away; 0 for any number

	accounted map[market.Symbol]time.Time // up to where, as far as anything is
	ticks     map[market.Symbol][]market.Tick
	gaps      map[market.Symbol][]StreamGap // by start
	disorder  []string

	closed    map[market.Series]map[time.Time]int
	repairs   map[market.Series][]repairCall
	checks    map[market.Series][]repairCall
	repairing map[market.Series]int // and checking
	repairFor time.Duration
	mends     map[task][]Mended // what the next repair, or check, stores

	noForecast error
	refuseMade func(forecast.Forecast) error // what the forecast store never takes
	refuseEnd  func(score) error
	ignorant   []string // forecasts as of an instant before that of their state
	forecasts  []forecast.Forecast
	scored     []score
	misscored  []string
}

type repairCall struct {
	since, began time.Time
	err          error
}

func newFakeStore(every time.Duration, now func() time.Time) *fakeStore {
	return &fakeStore{
		every: every, now: now, accounted: map[market.Symbol]time.Time{}, ticks: map[market.Symbol][]market.Tick{},
		gaps: map[market.Symbol][]StreamGap{}, closed: map[market.Series]map[time.Time]int{},
		repairs: map[market.Series][]repairCall{}, checks: map[market.Series][]repairCall{},
		mends: map[task][]Mended{}, repairing: map[market.Series]int{},
	}
}

func (s *fakeStore) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *fakeStore) tickStore(ctx context.Context) error {
	s.mu.Lock()
	if s.until == 1 {
		s.ticksAway = errAway
	}
	s.until = max(s.until-1, 0)
	err, hang := s.ticksAway, s.hang
	s.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (s *fakeStore) WriteTicks(ctx context.Context, ticks []market.Tick) error {
	if err := s.tickStore(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		for _, tick := range ticks {
			if err := s.refuse(tick); err != nil {
				return err
			}
		}
	}
	for _, tick := range ticks {
		s.account(tick.Symbol, market.TimeRange{Start: tick.SampledAt, End: tick.SampledAt.Add(s.every)}, "a tick")
		s.ticks[tick.Symbol] = append(s.ticks[tick.Symbol], tick)
	}
	return nil
}

func (s *fakeStore) AccountedUntil(ctx context.Context, symbol market.Symbol) (market.Optional[time.Time], error) {
	if err := s.tickStore(ctx); err != nil {
		return market.Optional[time.Time]{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	until, known := s.accounted[symbol]
	return market.Optional[time.Time]{Value: until.Add(time.Microsecond - s.every), Valid: known}, nil
}

func (s *fakeStore) WriteStreamGap(ctx context.Context, gap StreamGap) error {
	if err := s.tickStore(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	gaps := s.gaps[gap.Symbol]
	if gap.Missing != int(gap.End.Sub(gap.Start)/s.every) {
		s.disorder = append(s.disorder, fmt.Sprintf("%d missing in %v", gap.Missing, gap.TimeRange))
	}
	if n := len(gaps); n > 0 && gaps[n-1].Start.Equal(gap.Start) && gaps[n-1].End.Equal(s.accounted[gap.Symbol]) {
		gaps[n-1] = gap // it has grown
		s.accounted[gap.Symbol] = gap.End
		return nil
	}
	s.account(gap.Symbol, gap.TimeRange, "a gap")
	s.gaps[gap.Symbol] = append(gaps, gap)
	return nil
}

// account checks that places follow those that are accounted for.
func (s *fakeStore) account(symbol market.Symbol, places market.TimeRange, what string) {
	if until, known := s.accounted[symbol]; known && !until.Equal(places.Start) {
		s.disorder = append(s.disorder, fmt.Sprintf("%s: %s from %s, where %s is accounted for",
			symbol, what, places.Start.Format(time.TimeOnly), until.Format(time.TimeOnly)))
	}
	s.accounted[symbol] = places.End
}

// reasons lists a symbol's gaps, such as "silent 00:00:05 3".
func (s *fakeStore) reasons(symbol market.Symbol) (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, gap := range s.gaps[symbol] {
		list = append(list, fmt.Sprintf("%s %s %d", gap.Reason, gap.Start.Format(time.TimeOnly), gap.Missing))
	}
	return list
}

func (s *fakeStore) StoreClosed(_ context.Context, series market.Series, candle market.Candle) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.candleAway != nil {
		return s.candleAway
	}
	if s.refuseOne != nil {
		if err := s.refuseOne(series, candle); err != nil {
			return err
		}
	}
	if s.closed[series] == nil {
		s.closed[series] = map[time.Time]int{}
	}
	s.closed[series][candle.OpenTime]++
	return nil
}

func (s *fakeStore) Repair(ctx context.Context, series market.Series, since time.Time, mended func([]Mended)) error {
	return s.mend(ctx, repair, series, since, mended)
}

func (s *fakeStore) Check(ctx context.Context, series market.Series, since time.Time, mended func([]Mended)) error {
	return s.mend(ctx, check, series, since, mended)
}

func (s *fakeStore) mend(
	ctx context.Context, what task, series market.Series, since time.Time, mended func([]Mended),
) error {
	s.mu.Lock()
	calls, away := s.repairs, s.repairAway
	if what == check {
		calls, away = s.checks, s.checkAway
	}
	call := repairCall{since: since, began: s.now(), err: away}
	if s.repairing[series]++; s.repairing[series] > 1 {
		s.disorder = append(s.disorder, "two tasks of "+series.String()+" at once")
	}
	mends := s.mends[what]
	delete(s.mends, what)
	s.mu.Unlock()
	if s.repairFor > 0 {
		select {
		case <-time.After(s.repairFor):
		case <-ctx.Done():
			call.err = context.Cause(ctx)
		}
	}
	if len(mends) > 0 {
		mended(mends)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repairing[series]--
	calls[series] = append(calls[series], call)
	return call.err
}

func (s *fakeStore) repairsOf(series market.Series) []repairCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.repairs[series])
}

func (s *fakeStore) checksOf(series market.Series) []repairCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.checks[series])
}

// has reports whether a candle was stored as it closed, or a repair that
// succeeded has fetched it: the exchange counts one as closed two seconds after
// its end.
func (s *fakeStore) has(series market.Series, open time.Time) bool {
	if s.closed[series][open] > 0 {
		return true
	}
	return slices.ContainsFunc(s.repairs[series], func(c repairCall) bool {
		return c.err == nil && !c.since.After(open) && !series.Interval.Next(open).After(c.began.Add(-2*time.Second))
	})
}

// isChecked reports whether a check that succeeded has compared a candle.
func (s *fakeStore) isChecked(series market.Series, open time.Time) bool {
	return slices.ContainsFunc(s.checks[series], func(c repairCall) bool {
		return c.err == nil && !c.since.After(open) && !series.Interval.Next(open).After(c.began.Add(-2*time.Second))
	})
}

func (s *fakeStore) ForecastOpen(_ context.Context, state forecast.OpenCandle) (forecast.Forecast, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// There is a trade a second.
	if known := state.Candle.OpenTime.Add(time.Duration(state.Candle.Trades.Value-1) * time.Second); state.At.Before(known) {
		s.ignorant = append(s.ignorant, fmt.Sprintf("as of %s, of a state of %s", state.At, known))
	}
	return forecast.Forecast{Series: state.Series, AsOf: state.At, OpenTime: state.Candle.OpenTime}, s.noForecast
}

func (s *fakeStore) WriteForecasts(_ context.Context, forecasts []forecast.Forecast) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.otherAway != nil {
		return s.otherAway
	}
	for _, made := range forecasts {
		if s.refuseMade != nil {
			if err := s.refuseMade(made); err != nil {
				return err
			}
		}
	}
	for _, made := range forecasts {
		if slices.ContainsFunc(s.scored, func(c score) bool { return c.series == made.Series && c.openTime.Equal(made.OpenTime) }) {
			s.misscored = append(s.misscored, fmt.Sprintf("forecast of %s as of %s comes after the score", made.Series, made.AsOf))
		}
	}
	s.forecasts = append(s.forecasts, forecasts...)
	return nil
}

func (s *fakeStore) ScoreForecasts(
	_ context.Context, series market.Series, openTime time.Time, open, close float64,
) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.otherAway != nil {
		return 0, s.otherAway
	}
	if s.refuseEnd != nil {
		if err := s.refuseEnd(score{series, openTime, open, close}); err != nil {
			return 0, err
		}
	}
	s.scored = append(s.scored, score{series, openTime, open, close})
	return 1, nil
}

// newsroom keeps all that is published.
type newsroom struct {
	mu      sync.Mutex
	prices  map[market.Symbol][]Kline
	candles map[market.Symbol][]Kline
	made    []forecast.Forecast
}

func newNewsroom() *newsroom {
	return &newsroom{prices: map[market.Symbol][]Kline{}, candles: map[market.Symbol][]Kline{}}
}

func (n *newsroom) Publish(u Update) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case u.Price != nil:
		n.prices[u.Symbol] = append(n.prices[u.Symbol], *u.Price)
	case u.Candle != nil:
		n.candles[u.Symbol] = append(n.candles[u.Symbol], *u.Candle)
	case u.Forecast != nil:
		n.made = append(n.made, *u.Forecast)
	}
}
