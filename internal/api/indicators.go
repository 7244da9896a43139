package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/indicators"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

type indicatorsInput struct {
	Symbol   symbolName   `path:"symbol"`
	Interval intervalName `query:"interval" default:"15m"`
	Start    instant      `query:"start" doc:"Earliest open time, included: RFC 3339 or epoch milliseconds. With it, the answer starts there and goes forward; without it, the answer is of the newest candles before end."`
	End      instant      `query:"end" doc:"Latest open time, not included: RFC 3339 or epoch milliseconds. Without it, up to the newest candle."`
	Limit    int          `query:"limit" default:"500" minimum:"1" maximum:"3000" doc:"Most candles in an answer."`
	Page[candleKey]
}

type indicatorsOutput struct {
	Caching string `header:"Cache-Control" hidden:"true"`
	Link    string `header:"Link" doc:"Where there is a next page: its address, with rel=\"next\". Without start, where there are older candles: their page's address, with rel=\"prev\"."`
	Body    indicatorsPage
}

type indicatorsPage struct {
	Symbol     market.Symbol     `json:"symbol" example:"BTCUSDT"`
	Interval   intervalName      `json:"interval"`
	Indicators []indicatorsPoint `json:"indicators" doc:"One for each stored candle, oldest first."`
	NextCursor *string           `json:"next_cursor" doc:"Give it as cursor for the next page; null where there is none, and always null without start."`
}

type indicatorsPoint struct {
	OpenTime        time.Time `json:"open_time" doc:"Of the candle at whose close the values hold."`
	Close           float64   `json:"close" doc:"In the quote asset, as all prices."`
	SMA             *float64  `json:"sma" doc:"Simple moving average of 50 closes."`
	EMA             *float64  `json:"ema" doc:"Exponential moving average, length 20."`
	BollingerLower  *float64  `json:"bollinger_lower" doc:"Two standard deviations (of a population) of 20 closes below their mean."`
	BollingerMiddle *float64  `json:"bollinger_middle" doc:"Mean of 20 closes."`
	BollingerUpper  *float64  `json:"bollinger_upper" doc:"Two standard deviations above."`
	RSI             *float64  `json:"rsi" minimum:"0" maximum:"100" doc:"Relative strength index after Wilder, length 14; 50 where nothing moved."`
	MACD            *float64  `json:"macd" doc:"Exponential moving average of length 12 less that of length 26."`
	MACDSignal      *float64  `json:"macd_signal" doc:"Exponential moving average of macd, length 9."`
	MACDHistogram   *float64  `json:"macd_histogram" doc:"macd less macd_signal."`
}

func registerIndicators(api huma.API, h History, now func() time.Time) {
	register(api, huma.Operation{
		OperationID: "list-indicators", Method: http.MethodGet, Path: "/v1/symbols/{symbol}/indicators", Tags: []string{"market"}, Security: open,
		Summary: "List indicators",
		Description: "Moving averages, Bollinger bands, RSI and MACD of the closes of the candles that list-candles gives for the same parameters.\n\n" +
			fmt.Sprintf("They count candles: one that is not stored is passed over. Up to %d candles before the first one are read, so that values do not depend on where an answer starts. ", indicators.WarmUp) +
			"A value is null where too few candles are stored before. The newest candle's values hold for what is stored of it.",
		Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, input *indicatorsInput) (*indicatorsOutput, error) {
		return listIndicators(ctx, h, now(), input)
	})
}

func listIndicators(ctx context.Context, h History, now time.Time, input *indicatorsInput) (*indicatorsOutput, error) {
	series, err := seriesOf(input.Symbol, input.Interval)
	if err != nil {
		return nil, err
	}
	asked := market.TimeRange{Start: time.Time(input.Start), End: time.Time(input.End)}
	if input.Cursor.given {
		asked.Start = behind(input.Cursor.after)
	}
	candles, more, covered, err := pageOfCandles(ctx, h, series, asked, input.Limit)
	if err != nil {
		return nil, err
	}
	output := &indicatorsOutput{
		Caching: cachingFor(accounts.CallerOf(ctx), cachingOf(series.Interval, candles, covered, now)),
		Body:    indicatorsPage{Symbol: series.Symbol, Interval: input.Interval, Indicators: []indicatorsPoint{}},
	}
	if len(candles) == 0 {
		return output, nil
	}
	switch forward := !asked.Start.IsZero(); {
	case more && forward:
		cursor := cursorText(candleKey{microsecondsOf(candles[len(candles)-1].OpenTime)})
		output.Body.NextCursor = &cursor
		output.Link = linkTo(input.self, "next", map[string]string{"cursor": cursor, "start": ""})
	case more:
		output.Link = linkTo(input.self, "prev", map[string]string{"end": candles[0].OpenTime.UTC().Format(time.RFC3339Nano)})
	}
	before, err := candlesBefore(ctx, h, series, candles[0].OpenTime, indicators.WarmUp)
	if err != nil {
		return nil, fmt.Errorf("reading candles of %s to start from: %w", series, err)
	}
	points := indicators.Of(slices.Concat(before, candles))[len(before):]
	for i, p := range points {
		output.Body.Indicators = append(output.Body.Indicators, indicatorsPoint{
			OpenTime: candles[i].OpenTime.UTC(), Close: candles[i].Close, SMA: orNull(p.SMA), EMA: orNull(p.EMA),
			BollingerLower: orNull(p.BollingerLower), BollingerMiddle: orNull(p.BollingerMiddle), BollingerUpper: orNull(p.BollingerUpper),
			RSI: orNull(p.RSI), MACD: orNull(p.MACD), MACDSignal: orNull(p.MACDSignal), MACDHistogram: orNull(p.MACDHistogram),
		})
	}
	return output, nil
}

// candlesBefore returns the newest n candles that open before end, or all where there
// are fewer, whatever is missing in between.
func candlesBefore(ctx context.Context, h History, series market.Series, end time.Time, n int) ([]market.Candle, error) {
	var found []market.Candle
	for older := true; older && len(found) < n; {
		var candles []market.Candle
		var err error
		if candles, older, err = newestCandles(ctx, h, series, end, n-len(found)); err != nil {
			return nil, err
		}
		if len(candles) > 0 {
			found, end = slices.Concat(candles, found), candles[0].OpenTime
		}
	}
	return found, nil
}
