package simulator

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"

	"github.com/adshao/go-binance/v2"
	"pgregory.net/rapid"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestAppendDecimal(t *testing.T) {
	for _, test := range []struct {
		value float64
		text  string
	}{
		{0, "0.00000000"}, {1, "1.00000000"}, {0.00000001, "0.00000001"}, {4261.48, "4261.48000000"},
		{90071992.54740991, "90071992.54740991"}, {2472261593.198218, "2472261593.19821800"},
		{1e18, "1000000000000000000.00000000"}, {0.123456789, "0.12345679"}, {123456789.123456789, "123456789.12345679"},
	} {
		if text := string(appendDecimal(nil, test.value)); text != test.text {
			t.Errorf("%v: %s, want %s", test.value, text, test.text)
		}
	}
}

func TestEightDecimalsAreReadBackExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Float64Range(0, 1e18).Draw(t, "value")
		if value < 1e10 {
			value, _ = strconv.ParseFloat(strconv.FormatFloat(value, 'f', 8, 64), 64)
		}
		text := string(appendDecimal([]byte("x"), value))[1:]
		back, err := strconv.ParseFloat(text, 64)
		if err != nil || back != value || len(text)-len("."+"00000000") != len(strconv.FormatInt(int64(math.Floor(value)), 10)) {
			t.Fatalf("%v was written as %s", value, text)
		}
	})
}

// sampleCandle is the first daily candle of BTCUSDT.
var sampleCandle = market.Candle{
	OpenTime: date("2017-08-17T00:00:00Z"), Open: 4261.48, High: 4485.39, Low: 4200.74, Close: 4285.08,
	Volume: 795.150377, QuoteVolume: market.Some(3454770.05073206), Trades: market.Some(int64(3427)),
	TakerBuyVolume: market.Some(616.248541), TakerBuyQuoteVolume: market.Some(2678216.40060401),
}

func TestAppendKline(t *testing.T) {
	const want = `[1502928000000,"4261.48000000","4485.39000000","4200.74000000","4285.08000000","795.15037700",` +
		`1503014399999,"3454770.05073206",3427,"616.24854100","2678216.40060401","0"]`
	if row := string(appendKline(nil, market.Day1, &sampleCandle)); row != want {
		t.Errorf("\n%s, want\n%s", row, want)
	}
	late := sampleCandle
	late.OpenTime = date("2018-02-09T09:28:14.789Z")
	var columns []any
	if err := json.Unmarshal(appendKline(nil, market.Minute15, &late), &columns); err != nil {
		t.Fatal(err)
	}
	if columns[6] != float64(date("2018-02-09T09:30:00Z").UnixMilli()-1) {
		t.Errorf("a candle off the grid closes at %v", columns[6])
	}
}

func TestAppendKlineEvent(t *testing.T) {
	const want = `{"e":"kline","E":1503014400003,"s":"BTCUSDT","k":{"t":1502928000000,"T":1503014399999,"s":"BTCUSDT","i":"1d",` +
		`"f":15029280000000,"L":15029280003426,"o":"4261.48000000","c":"4285.08000000","h":"4485.39000000","l":"4200.74000000",` +
		`"v":"795.15037700","n":3427,"x":true,"q":"3454770.05073206","V":"616.24854100","Q":"2678216.40060401","B":"0"}}`
	series := market.Series{Symbol: "BTCUSDT", Interval: market.Day1}
	text := appendKlineEvent(nil, series, date("2017-08-18T00:00:00.003Z"), &sampleCandle, true)
	if string(text) != want {
		t.Errorf("\n%s, want\n%s", text, want)
	}
	quiet := market.Candle{OpenTime: sampleCandle.OpenTime, Open: 1, High: 1, Low: 1, Close: 1}
	var event binance.WsKlineEvent
	if err := json.Unmarshal(appendKlineEvent(nil, series, quiet.OpenTime, &quiet, false), &event); err != nil {
		t.Fatal(err)
	}
	if event.Kline.FirstTradeID != -1 || event.Kline.LastTradeID != -1 || event.Kline.IsFinal {
		t.Errorf("a candle without trades: %+v", event.Kline)
	}
}

func BenchmarkEncodePage(b *testing.B) {
	series := market.Series{Symbol: "BTCUSDT", Interval: market.Minute15}
	candles := newPlainSource().Candles(series, market.TimeRange{Start: date("2023-01-01T00:00:00Z"), End: startsAt}, mostKlines)
	b.ReportAllocs()
	for b.Loop() {
		b.SetBytes(int64(len(encodePage(series.Interval, candles))))
	}
}
