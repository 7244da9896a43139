package charts

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	hourly = market.Series{Symbol: "BTCUSDT", Interval: market.Hour1}
	noon   = time.Date(2025, time.June, 30, 12, 0, 0, 0, time.UTC)
)

// candle makes an hourly candle whose four prices and volume all differ, so
// that a golden file tells them apart.
func candle(openTime time.Time, base float64) market.Candle {
	return market.Candle{OpenTime: openTime,
		Open: base + 1, High: base + 9, Low: base - 5.5, Close: base + 4, Volume: base / 8,
		Source: market.Minute15, Parts: 4}
}

func hours(n int) time.Time { return noon.Add(time.Duration(n) * time.Hour) }

func TestCandlestickGolden(t *testing.T) {
	whole := []market.Candle{candle(hours(0), 100), candle(hours(1), 110), candle(hours(2), 120)}
	partial := candle(hours(2), 120)
	partial.Parts = 3
	next := &forecast.Forecast{Series: hourly, AsOf: hours(3), OpenTime: hours(3), CloseTime: hours(4), Last: 124,
		Prediction: forecast.Prediction{Point: 125, ProbabilityUp: 0.5, Bands: []forecast.Band{
			{Level: 0.8, Low: 121, High: 129}, {Level: 0.9, Low: 119, High: 131}}}}

	for name, test := range map[string]struct {
		candles  []market.Candle
		forecast *forecast.Forecast
	}{
		"candles":    {candles: whole},
		"forecast":   {candles: whole, forecast: next},
		"gap":        {candles: []market.Candle{whole[0], whole[2]}, forecast: next},
		"incomplete": {candles: []market.Candle{whole[0], whole[1], partial}},
	} {
		t.Run(name, func(t *testing.T) {
			slots := Slots(market.Hour1, market.TimeRange{Start: hours(0), End: hours(3)}, test.candles)
			got, err := json.MarshalIndent(Candlestick(hourly, slots, test.forecast), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, filepath.Join("testdata", name+".json"), append(got, '\n'))
		})
	}
}

func compareGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./charts -update writes it)", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("options differ from %s; look at the difference, then go test ./charts -update\ngot:\n%s", path, got)
	}
}

// chartSeries is what the tests read of one ECharts series.
type chartSeries struct {
	ID   string `json:"id"`
	Data []struct {
		Value json.RawMessage `json:"value"`
	} `json:"data"`
}

func decodeSeries(t *testing.T, options map[string]any) map[string]chartSeries {
	t.Helper()
	encoded, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	var decoded struct {
		Series []chartSeries `json:"series"`
	}
	if err := json.Unmarshal(encoded, &decoded); err != nil {
		t.Fatal(err)
	}
	byID := make(map[string]chartSeries)
	for _, s := range decoded.Series {
		byID[s.ID] = s
	}
	return byID
}

func TestCandleOrderIsOpenCloseLowHigh(t *testing.T) {
	slots := Slots(market.Hour1, market.TimeRange{Start: noon, End: hours(1)}, []market.Candle{
		{OpenTime: noon, Open: 2, High: 4, Low: 1, Close: 3, Source: market.Hour1, Parts: 1}})
	got := string(decodeSeries(t, Candlestick(hourly, slots, nil))[idCandles].Data[0].Value)
	if want := "[2,3,1,4]"; got != want {
		t.Errorf("candle = %s, want open, close, low, high: %s", got, want)
	}
}

func TestCandlestickEscapesForeignText(t *testing.T) {
	hostile := market.Series{Symbol: `</script><script>alert(1)</script>`, Interval: market.Hour1}
	slots := Slots(market.Hour1, market.TimeRange{Start: noon, End: hours(1)}, []market.Candle{candle(noon, 100)})
	encoded, err := json.Marshal(Candlestick(hostile, slots, nil))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.ContainsAny(encoded, "<>&") {
		t.Errorf("options hold markup that could end a script element: %s", encoded)
	}
}

func TestForecastTakesTheSlotOfItsCandle(t *testing.T) {
	candles := []market.Candle{candle(hours(0), 100), candle(hours(1), 110)}
	slots := Slots(market.Hour1, market.TimeRange{Start: hours(0), End: hours(2)}, candles)
	for name, test := range map[string]struct {
		openTime time.Time
		value    string
		slots    int
	}{
		"after the newest candle": {hours(2), "[2,1,3,5,6,9]", 3},
		"of a stored candle":      {hours(1), "[1,1,3,5,6,9]", 2},
	} {
		t.Run(name, func(t *testing.T) {
			next := &forecast.Forecast{OpenTime: test.openTime, Prediction: forecast.Prediction{
				Point: 5, Bands: []forecast.Band{{Level: 0.8, Low: 3, High: 6}, {Level: 0.9, Low: 1, High: 9}}}}
			series := decodeSeries(t, Candlestick(hourly, slots, next))
			if got := string(series[idForecast].Data[0].Value); got != test.value {
				t.Errorf("forecast = %s, want %s", got, test.value)
			}
			if got := len(series[idCandles].Data); got != test.slots {
				t.Errorf("%d slots, want %d", got, test.slots)
			}
			if len(slots) != 2 {
				t.Errorf("the caller's slots grew to %d", len(slots))
			}
		})
	}
}

func TestOpeningStart(t *testing.T) {
	for _, test := range []struct {
		slots int
		want  float32
	}{{1, 0}, {OpeningSlots, 0}, {2 * OpeningSlots, 50}} {
		if got := openingStart(test.slots); got != test.want {
			t.Errorf("openingStart(%d) = %v, want %v", test.slots, got, test.want)
		}
	}
}
