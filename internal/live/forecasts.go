package live

import (
	"context"
	"log/slog"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// storeForecastEvery is how often a forecast of a symbol is stored, of all that
// are published.
const storeForecastEvery = time.Minute

// sample is the state of a series at a place of the sampling grid.
type sample struct {
	place time.Time
	taken time.Time // not before place
	state Kline
}

// forecasts forecasts where open candles will close.
type forecasts struct {
	forecaster Forecaster
	hub        publisher
	writer     *forecastWriter
	log        *slog.Logger
	due        chan []sample // the newest place's
	behind     bool          // the last samples came too early; take's
	latest     map[market.Symbol]*latestForecast
}

// latestForecast is what was done for a symbol last.
type latestForecast struct {
	open, stored time.Time // of the candle, and the period, that a forecast was stored of
	fault        string    // why there was none, "" where there was
}

func newForecasts(config Config, hub publisher) *forecasts {
	if config.Forecaster == nil {
		return nil
	}
	f := &forecasts{
		forecaster: config.Forecaster, hub: hub, log: config.Log, writer: newForecastWriter(config),
		due: make(chan []sample, 1), latest: map[market.Symbol]*latestForecast{},
	}
	for _, series := range config.Series {
		f.latest[series.Symbol] = &latestForecast{}
	}
	return f
}

// take has forecasts made of samples. It does not wait: where the ones before
// have not been begun with, they are out of date now.
func (f *forecasts) take(ctx context.Context, samples []sample) {
	late := false
	select {
	case <-f.due:
		late = true
	default:
	}
	if late && !f.behind {
		f.log.WarnContext(ctx, "forecasts take longer than the time between samples: some are left out")
	}
	f.behind = late
	f.due <- samples // nobody else puts any in
}

// run forecasts until ctx ends.
func (f *forecasts) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case samples := <-f.due:
			for k := range samples {
				if ctx.Err() != nil {
					return
				}
				f.forecast(ctx, &samples[k])
			}
		}
	}
}

// asOf returns the instant of which a sample says how the market stood: its
// place, or that of a newer state, lest a forecast claims to have known less than
// it did. No state can be newer than when it was taken, whatever the clock says of
// the machine of the exchange that it is from.
func (s *sample) asOf() time.Time {
	at := s.place
	if s.state.EventTime.After(at) {
		at = s.state.EventTime
	}
	if at.After(s.taken) {
		at = s.taken
	}
	return at
}

// forecast makes a forecast of a sample. The newest state at a candle's first
// places may be the end of the candle before, of which there is nothing to say.
func (f *forecasts) forecast(ctx context.Context, s *sample) {
	series, candle := s.state.Series, s.state.Candle
	at := s.asOf()
	if s.state.Closed || !at.Before(series.Interval.Next(candle.OpenTime)) {
		return
	}
	latest := f.latest[series.Symbol]
	made, err := f.forecaster.ForecastOpen(ctx, forecast.OpenCandle{Series: series, At: at, Candle: candle})
	if ctx.Err() != nil {
		return
	}
	f.report(ctx, series, latest, err)
	if err != nil {
		return
	}
	f.hub.Publish(Update{Symbol: series.Symbol, Forecast: &made})
	if period := s.place.Truncate(storeForecastEvery); !latest.stored.Equal(period) || !latest.open.Equal(candle.OpenTime) {
		latest.stored, latest.open = period, candle.OpenTime
		f.writer.add(made)
	}
}

// report tells the log of a failure that is not the same as before.
func (f *forecasts) report(ctx context.Context, series market.Series, latest *latestForecast, err error) {
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	if fault == latest.fault {
		return
	}
	log := f.log.With(slog.String("series", series.String()))
	switch market.ErrorCode(err) {
	case "":
		log.InfoContext(ctx, "the open candle is forecast again")
	case market.NotFound, market.Unavailable:
		log.WarnContext(ctx, "the open candle cannot be forecast", slog.Any("error", err))
	default:
		log.ErrorContext(ctx, "the open candle cannot be forecast", slog.Any("error", err))
	}
	latest.fault = fault
}
