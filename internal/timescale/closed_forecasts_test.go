package timescale_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

func scoreClosed(t *testing.T, d *timescale.Database, since time.Time, wantNew, wantCorrected int64) {
	t.Helper()
	news, corrected, err := d.ScoreClosed(t.Context(), since)
	if err != nil || news != wantNew || corrected != wantCorrected {
		t.Errorf("%d forecasts scored, %d anew, %v; want %d and %d", news, corrected, err, wantNew, wantCorrected)
	}
}

// twoForecasts are of each of the candles that open in a row.
func twoForecasts(model forecast.Model, series market.Series, opens []time.Time) []forecast.Forecast {
	var all []forecast.Forecast
	for _, open := range opens {
		for minute := range 2 {
			f := forecastAt(model, time.Duration(minute)*time.Minute)
			f.Series, f.OpenTime, f.AsOf, f.CloseTime = series, open, open.Add(time.Duration(minute)*time.Minute), series.Interval.Next(open)
			all = append(all, f)
		}
	}
	return all
}

// untrueScores counts the forecasts that are not scored by the candle that is stored.
const untrueScores = `
	SELECT count(*) FROM forecasts AS f JOIN candles AS c USING (symbol, interval, open_time)
	WHERE (f.actual_open, f.actual_close) IS DISTINCT FROM (c.open, c.close)`

func TestForecastsOfClosedCandlesAreScored(t *testing.T) {
	d := timescaletest.Open(t)
	scoreClosed(t, d, time.Time{}, 0, 0)
	model := someModel(t, d)
	candles := walk(market.Minute15, newYear, 250)
	var opens []time.Time
	for _, c := range candles {
		opens = append(opens, c.OpenTime)
	}
	hours := market.Series{Symbol: "BTCUSDT", Interval: market.Hour1} // which are rolled up only
	ether := market.Series{Symbol: "ETHUSDT", Interval: market.Minute15}
	writeForecasts(t, d, slices.Concat(
		twoForecasts(model, btc15m, opens), twoForecasts(model, hours, opens[:4]), twoForecasts(model, ether, opens[:3]))...)
	write(t, d, btc15m, slices.Concat(candles[:120], candles[121:])) // one is missing for ever
	write(t, d, ether, candles[1:2])
	write(t, d, market.Series{Symbol: "ADAUSDT", Interval: market.Minute15}, candles) // of which nothing was forecast

	score(t, d, candles[0].Open, candles[0].Close, 2)
	before := ask[time.Time](t, d, `SELECT scored_at FROM forecasts WHERE scored_at IS NOT NULL`)
	scoreClosed(t, d, newYear.AddDate(1, 0, 0), 2*(250-2)+2, 0) // however old they are
	if n := ask[int64](t, d, untrueScores)[0]; n > 0 {
		t.Errorf("%d forecasts are not scored by their candle", n)
	}
	if n := ask[int64](t, d, `SELECT count(*) FROM forecasts WHERE scored_at IS NULL`)[0]; n != 2+2*4+2*2 {
		t.Errorf("%d forecasts of candles that are not stored have no score", n)
	}
	if after := ask[time.Time](t, d, `SELECT scored_at FROM forecasts WHERE symbol = 'BTCUSDT' AND interval = '15m' AND open_time = $1`, newYear); !slices.Equal(before, after) {
		t.Errorf("what was scored at %v is scored again at %v", before, after)
	}
	scoreClosed(t, d, time.Time{}, 0, 0)

	// A forecast that came late, and candles that were corrected since: more than are
	// scored at once, and some that are older than is asked for.
	late := twoForecasts(model, btc15m, opens[7:8])[:1]
	late[0].AsOf = late[0].AsOf.Add(5 * time.Minute)
	writeForecasts(t, d, late...)
	execute(t, d, `UPDATE candles SET close = low WHERE open_time < $1 OR open_time >= $2`, opens[10], opens[100])
	scoreClosed(t, d, opens[100], 1, 2*(150-1)+2) // with the score of the late one those of its candle are mended
	scoreClosed(t, d, opens[100], 0, 0)
	scoreClosed(t, d, time.Time{}, 0, 2*9+2) // with the one of ether
	if n := ask[int64](t, d, untrueScores)[0]; n > 0 {
		t.Errorf("%d forecasts are not scored by their candle", n)
	}

	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, _, err := d.ScoreClosed(stopped, time.Time{}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// A candle that no price can be told from is no one's score.
func TestForecastsOfASpoiltCandleStayUnscored(t *testing.T) {
	d := timescaletest.Open(t)
	writeForecasts(t, d, twoForecasts(someModel(t, d), btc15m, []time.Time{newYear})...)
	write(t, d, btc15m, walk(market.Minute15, newYear, 1))
	execute(t, d, `UPDATE candles SET close = 'NaN'`)
	scoreClosed(t, d, time.Time{}, 0, 0)
}
