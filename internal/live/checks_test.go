package live

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestSeriesAreCheckedOnceAQuarterAfterACandleClosed(t *testing.T) {
	inBubble(t, nil, []market.Series{bitcoin}, func(t *testing.T, r *rig) {
		r.live(47 * time.Minute)
		checks := r.store.checksOf(bitcoin)
		if len(checks) != 5 || !checks[0].since.IsZero() || !checks[0].began.Equal(r.started) {
			t.Fatalf("checks: %+v", checks)
		}
		for k, c := range checks[1:] { // candles closed at the start too
			closed := midnightOf(r).Add(time.Duration(k) * 15 * time.Minute)
			if after := c.began.Sub(closed); after < settledFor || after > settledFor+checkSpread+time.Second {
				t.Errorf("a check %s after %s", after, closed)
			}
			if !c.since.Equal(c.began.Add(-24 * time.Hour)) {
				t.Errorf("a check at %s goes back to %s", c.began, c.since)
			}
		}
	})
}

func TestSeriesAreCheckedAtEachCloseOfLongCandles(t *testing.T) {
	hourly := market.Series{Symbol: "BTCUSDT", Interval: market.Hour1}
	inBubble(t, nil, []market.Series{hourly}, func(t *testing.T, r *rig) {
		r.live(3*time.Hour + 2*time.Minute)
		if checks := r.store.checksOf(hourly); len(checks) != 1+4 {
			t.Errorf("checks: %+v", checks)
		}
	})
}

func TestSeriesThatCloseTogetherAreNotCheckedTogether(t *testing.T) {
	var many []market.Series
	for k := range 60 {
		many = append(many, market.Series{Symbol: market.Symbol(fmt.Sprintf("COIN%dUSDT", k)), Interval: market.Minute5})
	}
	inBubble(t, nil, many, func(t *testing.T, r *rig) {
		r.live(2 * time.Minute)
		seconds := map[int64]int{}
		for _, series := range many {
			checks := r.store.checksOf(series)
			if len(checks) != 2 {
				t.Fatalf("checks of %s: %+v", series, checks)
			}
			seconds[checks[1].began.Unix()]++
		}
		if len(seconds) < 20 {
			t.Errorf("60 series were checked within %d seconds", len(seconds))
		}
	})
}

func TestSeriesAreCheckedAfterEveryConnect(t *testing.T) {
	inBubble(t, nil, two, func(t *testing.T, r *rig) {
		r.live(2 * time.Minute)
		before := len(r.store.checksOf(ether))
		for range 3 {
			r.exchange.drop()
			r.live(30 * time.Second)
		}
		if after := len(r.store.checksOf(ether)); after != before+3 {
			t.Errorf("%d checks after three connects", after-before)
		}
	})
}

func TestACheckThatFailsIsTriedAgain(t *testing.T) {
	for name, failure := range map[string]error{"away": errAway, "unknown": errors.New("broken pipe")} {
		t.Run(name, func(t *testing.T) {
			failing := func(c *Config) { c.Checker.(*fakeStore).checkAway = failure }
			inBubble(t, failing, []market.Series{bitcoin}, func(t *testing.T, r *rig) {
				r.live(3 * time.Minute)
				if n := len(r.store.repairsOf(bitcoin)); n != 1 {
					t.Errorf("%d repairs: they wait for checks", n)
				}
				if n := len(r.store.checksOf(bitcoin)); n < 4 || n > 40 {
					t.Errorf("%d checks failed in three minutes", n)
				}
				r.store.set(func() { r.store.checkAway = nil })
				r.live(2 * time.Minute)
				checks := r.store.checksOf(bitcoin)
				if last := checks[len(checks)-1]; last.err != nil || !last.since.IsZero() {
					t.Errorf("the last check: %+v", last)
				}
			})
		})
	}
}

func TestACheckGoesBackToWhatIsNotChecked(t *testing.T) {
	at := func(d time.Duration) time.Time { return midnight.Add(d) }
	const day = 24 * time.Hour
	for _, test := range []struct {
		name string
		do   func(f *follower)
		now  time.Duration
		want time.Time
	}{
		{"never checked", func(*follower) {}, 0, time.Time{}},
		{"checked", func(f *follower) { f.checkedUntil(at(90 * time.Second)) }, time.Hour, at(time.Hour - day)},
		{"checked long ago", func(f *follower) { f.checkedUntil(at(90 * time.Second)) }, 3 * day, at(time.Minute)},
		{"stored after it was checked", func(f *follower) {
			f.checkedUntil(at(3 * day))
			f.storedClosed(at(0))
		}, 3 * day, at(0)},
	} {
		f := &follower{series: bitcoin}
		test.do(f)
		if got := f.checkSince(at(test.now)); !got.Equal(test.want) {
			t.Errorf("%s: since %s, want %s", test.name, got, test.want)
		}
	}
}

// mendedAt returns candles of a minute that were stored behind the stream's back.
func mendedAt(first time.Time, count int, corrected bool) []Mended {
	mended := make([]Mended, count)
	for k := range mended {
		open := first.Add(time.Duration(k) * time.Minute)
		mended[k] = Mended{Candle: closeOf(bitcoin, open, open).Candle, Corrected: corrected}
		mended[k].Close += 0.5
	}
	return mended
}

func TestMendedCandlesArePublishedScoredAndCounted(t *testing.T) {
	for _, test := range []struct {
		by                  task
		corrected           bool
		filled, alterations int64
	}{
		{by: repair, filled: 3}, {by: check, filled: 3}, {by: check, corrected: true, alterations: 3},
	} {
		mending := func(c *Config) {
			forecasting(c)
			first := c.Clock.Now().Truncate(time.Minute).Add(-10 * time.Minute)
			c.Repairer.(*fakeStore).mends[test.by] = mendedAt(first, 3, test.corrected)
		}
		inBubble(t, mending, []market.Series{bitcoin}, func(t *testing.T, r *rig) {
			r.live(10 * time.Second)
			first := midnightOf(r).Add(-10 * time.Minute)
			published, scored := r.news.candles[bitcoin.Symbol], r.store.scored
			if len(published) != 4 || len(scored) != 4 { // with the candle that closed
				t.Fatalf("%d candles are published, %d scored", len(published), len(scored))
			}
			for k := range 3 {
				open := first.Add(time.Duration(k) * time.Minute)
				want := score{bitcoin, open, 100, 160.5}
				if got := published[k]; !got.Closed || got.Series != bitcoin || !got.Candle.OpenTime.Equal(open) || got.Candle.Close != 160.5 {
					t.Errorf("published: %+v", got)
				}
				if scored[k] != want {
					t.Errorf("scored: %+v, want %+v", scored[k], want)
				}
			}
			if s := r.Status().Symbols[0]; s.Filled != test.filled || s.Corrected != test.alterations || s.Closed != 1 {
				t.Errorf("status is %#v", s)
			}
			text := fmt.Sprintf(`"stored candles are mended" series="BTCUSDT 1m" filled=%d corrected=%d`, test.filled, test.alterations)
			if r.log.count(text) != 1 {
				t.Errorf("the log does not say: %s", text)
			}
		})
	}
}

// What the stream has delivered while it was being repaired is no news.
func TestWhatTheStreamBroughtIsNotMendedOnceMore(t *testing.T) {
	inBubble(t, nil, []market.Series{bitcoin}, func(t *testing.T, r *rig) {
		r.live(150 * time.Second)
		r.store.set(func() {
			r.store.mends[repair] = mendedAt(midnightOf(r), 2, false)
			r.store.mends[check] = mendedAt(midnightOf(r), 1, true)
		})
		r.exchange.drop()
		r.live(10 * time.Second)
		if s := r.Status().Symbols[0]; s.Filled != 0 || s.Corrected != 1 {
			t.Errorf("status is %#v", s)
		}
		if n := len(r.news.candles[bitcoin.Symbol]); n != 3+1 {
			t.Errorf("%d candles are published", n)
		}
	})
}

// A week of candles is scored to the last, and does not push the newest ones out
// of a hub.
func TestManyMendedCandlesWaitToBeScored(t *testing.T) {
	const week = 7 * 24 * 60
	mending := func(c *Config) {
		forecasting(c)
		store := c.Repairer.(*fakeStore)
		store.otherAway = errAway
		store.mends[repair] = mendedAt(c.Clock.Now().Truncate(time.Minute).Add(-week*time.Minute), week, false)
	}
	inBubble(t, mending, []market.Series{bitcoin}, func(t *testing.T, r *rig) {
		r.live(5 * time.Minute)
		r.store.set(func() { r.store.otherAway = nil })
		r.live(2 * time.Minute)
		scored := map[time.Time]bool{}
		r.store.set(func() {
			for _, s := range r.store.scored {
				scored[s.openTime] = true
			}
		})
		if len(scored) != week+6 { // the last one twice
			t.Errorf("%d candles are scored", len(scored))
		}
		if n := len(r.news.candles[bitcoin.Symbol]); n != remembered+6 {
			t.Errorf("%d candles are published", n)
		}
	})
}

// A service whose scores cannot be stored stops all the same.
func TestMendingStopsWithTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(forecasting, bitcoin)
		r.store.otherAway = errAway
		r.store.mends[repair] = mendedAt(r.clock.Now().Add(-7*24*time.Hour), 3*mostScores, false)
		r.start(t)
		r.live(time.Minute)
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
}
