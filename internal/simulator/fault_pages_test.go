package simulator

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

func TestFaultsOfAPage(t *testing.T) {
	quarter := func(k int) time.Time {
		return time.UnixMilli(1704067200000).UTC().Add(time.Duration(k) * 15 * time.Minute)
	}
	opens := func(places ...int) []time.Time {
		times := make([]time.Time, len(places))
		for k, place := range places {
			times[k] = quarter(place)
		}
		return times
	}
	offGridTimes := opens(0, 1, 2, 3, 4, 5, 6, 7)
	offGridTimes[3] = offGridTimes[3].Add(7 * time.Second)
	for _, test := range []struct {
		rule Rule
		text string      // is in the answer and not in the true one
		want []time.Time // open times, where the page can be read
	}{
		{rule: Rule{On: Klines, Fault: ObjectForArray}, text: `{}`},
		{rule: Rule{On: Klines, Fault: EmptyNumber}, text: `,"",`},
		{rule: Rule{On: Klines, Fault: NumberForString}, text: `",2`},
		{rule: Rule{On: Klines, Fault: StringForNumber}, text: `["1704069900000",`},
		{rule: Rule{On: Klines, Fault: ShortRow}, text: `"20663.50000000"],[`},
		{rule: Rule{On: Klines, Fault: EmptyPage}, want: opens()},
		{rule: Rule{On: Klines, Fault: DuplicatedCandle}, want: opens(0, 1, 2, 3, 3, 4, 5, 6)},
		{rule: Rule{On: Klines, Fault: DisorderedCandles}, want: opens(0, 1, 2, 4, 3, 5, 6, 7)},
		{rule: Rule{On: Klines, Fault: CandleOffRange}, want: opens(-1, 0, 1, 2, 3, 4, 5, 6)},
		{rule: Rule{On: Klines, Fault: CandleOffGrid}, want: offGridTimes},
		{rule: Rule{On: Klines, Fault: RevisedCandle}, want: opens(0, 1, 2, 3, 4, 5, 6, 7)},
	} {
		t.Run(string(test.rule.Fault), func(t *testing.T) {
			// The page may be in the cache by then.
			rule := test.rule
			rule.Nth = 2
			e := open(t, Config{Script: Script{Rules: []Rule{rule}}})
			_, whole := e.get(t, page)
			response, body := e.get(t, page)
			if response.StatusCode != 200 || body == whole || !json.Valid([]byte(body)) || e.Meter().Faults[rule.Fault] != 1 {
				t.Fatalf("%d %s", response.StatusCode, body)
			}
			if test.text != "" && (!strings.Contains(body, test.text) || strings.Contains(whole, test.text)) {
				t.Errorf("%s", body)
			}
			if _, after := e.get(t, page); after != whole {
				t.Errorf("the page after it: %s", after)
			}
			if test.text != "" {
				return
			}
			if err := e.SetScript(Script{Rules: []Rule{test.rule}}); err != nil {
				t.Fatal(err)
			}
			service := e.binance().NewKlinesService().Symbol("BTCUSDT").Interval("15m").StartTime(1704067200000).Limit(8)
			rows, err := service.Do(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []time.Time
			revised := 0
			for _, row := range rows {
				candle := fromWire(t, market.Minute15, row)
				if err := candle.Validate(); err != nil {
					t.Error(err)
				}
				truth, _ := e.source.closed(market.Series{Symbol: "BTCUSDT", Interval: market.Minute15}, candle.OpenTime)
				if truth.Close != candle.Close {
					revised++
				}
				got = append(got, candle.OpenTime)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%v, want %v", got, test.want)
			}
			if rule.Fault == RevisedCandle && revised != 1 {
				t.Errorf("%d candles revised", revised)
			}
		})
	}
}

func TestAFaultWaitsForAPageWithRoom(t *testing.T) {
	const inOutage = "/api/v3/klines?symbol=BTCUSDT&interval=1h&startTime=1518058800000&endTime=1518062400000"
	for _, fault := range Faults() {
		if !slices.Equal(faultForms[fault].on, []Endpoint{Klines}) || fault == ObjectForArray {
			continue
		}
		e := open(t, Config{Script: Script{Rules: []Rule{{On: Klines, Fault: fault}}}})
		if _, body := e.get(t, inOutage); body != `[]` || e.Meter().Faults[fault] != 0 {
			t.Errorf("%s: an empty page became %s", fault, body)
		}
		if response, _ := e.get(t, "/api/v3/klines"); response.StatusCode != 400 || e.Meter().Faults[fault] != 0 {
			t.Errorf("%s: an error became %d", fault, response.StatusCode)
		}
		if e.get(t, page); e.Meter().Faults[fault] != 1 {
			t.Errorf("%s is not played on the next page", fault)
		}
	}
}
