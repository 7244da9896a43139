package api

import (
	"encoding/json"
	"log/slog"
	"strconv"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// priceEvent is the data of a price event.
type priceEvent struct {
	Symbol market.Symbol `json:"symbol" example:"BTCUSDT"`
	Price  float64       `json:"price" doc:"Of the newest trade, in the quote asset."`
	OpenCandle
	EventTime  time.Time `json:"event_time" doc:"When the exchange said so, by its clock."`
	ReceivedAt time.Time `json:"received_at" doc:"When the service received it, by its own clock."`
}

// OpenCandle is the candle that is open now, so far. It is exported for Huma,
// which passes over the fields of an embedded type that is not.
type OpenCandle struct {
	Interval  intervalName `json:"interval"`
	OpenTime  time.Time    `json:"open_time" doc:"First instant of the candle."`
	CloseTime time.Time    `json:"close_time" doc:"First instant after the candle."`
	Open      float64      `json:"open" doc:"In the quote asset, as all prices."`
	High      float64      `json:"high"`
	Low       float64      `json:"low"`
	Close     float64      `json:"close" doc:"The newest price."`
	Volume    float64      `json:"volume" doc:"In the base asset, so far."`
	Trades    *int64       `json:"trades" doc:"Number of trades so far; null where not published."`
}

// candleEvent documents the data of a candle event, which appendClosed writes.
type candleEvent struct {
	Symbol   market.Symbol `json:"symbol" example:"BTCUSDT"`
	Interval intervalName  `json:"interval"`
	Candle
}

// EncodeUpdate returns the server-sent event that tells of an update, with its
// id: all of it, so that it is made once for all subscribers. It is nil where
// the update holds a number that JSON cannot; the log says so.
func EncodeUpdate(u *live.Update) []byte {
	event := strconv.AppendUint([]byte("id: "), u.ID, 10)
	var data any
	switch {
	case u.Candle != nil:
		event = append(event, "\nevent: candle\ndata: "...)
		return append(appendClosed(event, u.Candle.Series, u.Candle.Candle), "\n\n"...)
	case u.Price != nil:
		event = append(event, "\nevent: price\ndata: "...)
		data = priceEvent{
			Symbol: u.Symbol, Price: u.Price.Candle.Close, OpenCandle: openCandleOf(u.Price),
			EventTime: u.Price.EventTime.UTC(), ReceivedAt: u.Price.ReceivedAt.UTC(),
		}
	default:
		event = append(event, "\nevent: forecast\ndata: "...)
		data = forecastOf(*u.Forecast, u.At)
	}
	encoded, err := json.Marshal(data)
	if err != nil {
		slog.Error("update not encoded: it is left out of streams", "symbol", u.Symbol, "id", u.ID, "error", err)
		return nil
	}
	event = append(event, encoded...)
	return append(event, "\n\n"...)
}

// appendClosed appends what encoding/json would write of a candleEvent.
func appendClosed(b []byte, series market.Series, c market.Candle) []byte {
	b = append(b, `{"symbol":"`...)
	b = append(b, series.Symbol...)
	b = append(b, `","interval":"`...)
	b = append(b, series.Interval...)
	b = append(b, `",`...)
	b = appendCandleFields(b, series.Interval, c)
	return append(b, '}')
}

func openCandleOf(k *live.Kline) OpenCandle {
	c := k.Candle
	return OpenCandle{
		Interval: intervalName(k.Interval), OpenTime: c.OpenTime.UTC(), CloseTime: k.Interval.Next(c.OpenTime).UTC(),
		Open: c.Open, High: c.High, Low: c.Low, Close: c.Close, Volume: c.Volume, Trades: orNull(c.Trades),
	}
}
