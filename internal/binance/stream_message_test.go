package binance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// openKline is an event as the exchange sends it while a candle is open.
const openKline = `{"stream":"btcusdt@kline_15m","data":{"e":"kline","E":1704067212345,"s":"BTCUSDT","k":{` +
	`"t":1704067200000,"T":1704068099999,"s":"BTCUSDT","i":"15m","f":3345601111,"L":3345601140,` +
	`"o":"42283.58000000","c":"42290.01000000","h":"42298.62000000","l":"42261.02000000","v":"35.92724000","n":30,"x":false,` +
	`"q":"1519032.08490570","V":"18.21740000","Q":"770312.36107590","B":"0"}}}`

var (
	receivedAt = at("2024-01-01T00:00:12.5Z")
	askedBTC   = askedStreams{btc15m: streamOf(btc15m)}
)

func wantOpenKline() live.Kline {
	return live.Kline{
		Series: btc15m,
		Candle: market.Candle{
			OpenTime: newYear.Start, Open: 42283.58, High: 42298.62, Low: 42261.02, Close: 42290.01, Volume: 35.92724,
			QuoteVolume: market.Some(1519032.0849057), Trades: market.Some(int64(30)),
			TakerBuyVolume: market.Some(18.2174), TakerBuyQuoteVolume: market.Some(770312.3610759),
			Source: market.Minute15, Parts: 1,
		},
		FirstTradeID: market.Some(int64(3345601111)), LastTradeID: market.Some(int64(3345601140)),
		EventTime: at("2024-01-01T00:00:12.345Z"), ReceivedAt: receivedAt,
	}
}

func TestDecodeMessage(t *testing.T) {
	replaced := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(openKline) }
	bare := strings.TrimSuffix(strings.SplitN(openKline, `"data":`, 2)[1], "}")
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(openKline), "\t", "  "); err != nil {
		t.Fatal(err)
	}
	changed := func(change func(*live.Kline)) live.Event {
		kline := wantOpenKline()
		change(&kline)
		return live.Event{Kline: kline}
	}
	same := live.Event{Kline: wantOpenKline()}
	shutdown := live.Event{Shutdown: true}
	for _, test := range []struct {
		name, message string
		want          live.Event
		known         bool
	}{
		{"combined", openKline, same, true},
		{"bare", bare, same, true},
		{"with spaces", " " + indented.String() + "\n", same, true},
		{"unknown fields", replaced(`"B":"0"`, `"B":{"a\"}":[{"t":1},"}"]},"Ω":1,"taker":-1.5e3,"z":null`), same, true},
		{"closed", replaced(`"x":false`, `"x":true`), changed(func(k *live.Kline) { k.Closed = true }), true},
		{
			"no trades yet",
			replaced(`"f":3345601111,"L":3345601140`, `"f":-1,"L":-1`, `"n":30`, `"n":0`, `"35.92724000"`, `"0"`, `"1519032.08490570"`, `"0"`,
				`"18.21740000"`, `"0"`, `"770312.36107590"`, `"0"`),
			changed(func(k *live.Kline) {
				k.FirstTradeID, k.LastTradeID = market.Optional[int64]{}, market.Optional[int64]{}
				k.Candle.Trades, k.Candle.Volume, k.Candle.QuoteVolume = market.Some(int64(0)), 0, market.Some(0.0)
				k.Candle.TakerBuyVolume, k.Candle.TakerBuyQuoteVolume = market.Some(0.0), market.Some(0.0)
			}), true,
		},
		{
			"columns that are not published",
			replaced(`"f":3345601111,"L":3345601140,`, "", `,"V":"18.21740000","Q":"770312.36107590"`, ""),
			changed(func(k *live.Kline) {
				k.FirstTradeID, k.LastTradeID = market.Optional[int64]{}, market.Optional[int64]{}
				k.Candle.TakerBuyVolume, k.Candle.TakerBuyQuoteVolume = market.Optional[float64]{}, market.Optional[float64]{}
			}), true,
		},
		{
			"microseconds", replaced("1704067212345", "1704067212345678", "1704067200000", "1704067200000000", "1704068099999", "1704068099999999"),
			changed(func(k *live.Kline) { k.EventTime = at("2024-01-01T00:00:12.345678Z") }), true,
		},
		{
			"a clock that is two minutes behind", replaced("1704067212345", "1704067092345"),
			changed(func(k *live.Kline) { k.EventTime = at("2023-12-31T23:58:12.345Z") }), true,
		},
		{
			"a clock that is an hour ahead", replaced("1704067212345", "1704070812345"),
			changed(func(k *live.Kline) { k.EventTime = at("2024-01-01T01:00:12.345Z") }), true,
		},
		{
			"the first date that can be", replaced("1704067212345", "1703980800000"),
			changed(func(k *live.Kline) { k.EventTime = at("2023-12-31T00:00:00Z") }), true,
		},
		{
			"the last date that can be", replaced("1704067212345", "1704154500000"),
			changed(func(k *live.Kline) { k.EventTime = at("2024-01-02T00:15:00Z") }), true,
		},
		{
			"the last word long after", replaced("1704067212345", "1704153600000"),
			changed(func(k *live.Kline) { k.EventTime = at("2024-01-02T00:00:00Z") }), true,
		},
		{"the end announced", `{"e":"serverShutdown","E":1770123456789}`, shutdown, true},
		{"the end announced on a stream", `{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}`, shutdown, true},
		{"another event", `{"stream":"btcusdt@miniTicker","data":{"e":"24hrMiniTicker","E":1749183266025,"s":"BTCUSDT","c":"1"}}`, live.Event{}, false},
		{"an answer", `{"result":null,"id":1}`, live.Event{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			event, known, err := decodeMessage([]byte(test.message), askedBTC, receivedAt)
			if err != nil || known != test.known || event != test.want {
				t.Errorf("known %t, error %v\n got %+v\nwant %+v", known, err, event, test.want)
			}
		})
	}
}

func TestMalformedMessages(t *testing.T) {
	replaced := func(old, new string) string {
		if !strings.Contains(openKline, old) {
			t.Fatalf("%s is not in the message", old)
		}
		return strings.Replace(openKline, old, new, 1)
	}
	for _, test := range []struct{ name, message, says string }{
		{"nothing", "", `found "" where JSON`},
		{"half", openKline[:200], "where JSON is expected"},
		{"two", openKline + openKline, "where JSON is expected"},
		{"a page for people", "<html>" + strings.Repeat("x", 5000), `found "<html>x`},
		{"a number", "12", `found "12" where an object is expected`},
		{"null", "null", "where an object"},
		{"an array", `[{"e":"kline"}]`, "where an object"},
		{"an empty object", "{}", `found "{}" where an event`},
		{"no event in it", `{"stream":"btcusdt@kline_15m"}`, "where an event"},
		{"an event that is an array", `{"stream":"!miniTicker@arr","data":[]}`, `found "[]" where an object`},
		{"a failure", `{"error":{"code":3,"msg":"Invalid JSON"}}`, `found "{\"error\"`},
		{"a name that is no string", replaced(`"e":"kline"`, `"e":1`), "an event with its name"},
		{"a field twice", replaced(`"c":"42290.01000000"`, `"c":"42290.01000000","c":"1"`), "field c is there twice"},
		{"no kline", replaced(`"k":{`, `"m":{`), `found "" where an object`},
		{"a kline that is null", `{"e":"kline","E":1704067212345,"s":"BTCUSDT","k":null}`, `found "null" where an object`},
		{"another symbol's", strings.ReplaceAll(strings.ReplaceAll(openKline, "BTC", "ETH"), "btc", "eth"), `"ETHUSDT" "15m", which was not asked for`},
		{"another interval's", replaced(`"i":"15m"`, `"i":"1m"`), `"BTCUSDT" "1m", which was not asked for`},
		{"no interval", replaced(`"i":"15m",`, ""), `"BTCUSDT" "", which was not asked for`},
		{"two symbols", replaced(`"s":"BTCUSDT"`, `"s":"ETHUSDT"`), `BTCUSDT 15m comes in an event of "\"ETHUSDT\""`},
		{"another stream's", replaced("btcusdt@kline_15m", "btcusdt@kline_1m"), "BTCUSDT 15m comes in an event"},
		{"a stream without a name", replaced(`"btcusdt@kline_15m"`, `null`), "BTCUSDT 15m comes in an event"},
		{"no price", replaced(`"o":"42283.58000000",`, ""), `open is "" where a decimal in a string is expected`},
		{"a bare price", replaced(`"42283.58000000"`, `42283.58`), `open is "42283.58" where a decimal`},
		{"a price that is empty", replaced(`"42283.58000000"`, `""`), `open is "\"\""`},
		{"no number", replaced(`"42298.62000000"`, `"NaN"`), "high"},
		{"infinity", replaced(`"42298.62000000"`, `"+Inf"`), "high"},
		{"hexadecimal", replaced(`"42298.62000000"`, `"0x1p4"`), "high"},
		{"beyond a float64", replaced(`"42298.62000000"`, `"1e999"`), "high"},
		{"null for a volume", replaced(`"V":"18.21740000"`, `"V":null`), "taker buy volume"},
		{"no quote volume", replaced(`"q":"1519032.08490570",`, ""), "quote volume"},
		{"no trades", replaced(`"n":30,`, ""), "trades"},
		{"a fraction of a trade", replaced(`"n":30`, `"n":30.5`), "trades"},
		{"a string for a count", replaced(`"n":30`, `"n":"30"`), "trades"},
		{"trades without bound", replaced(`"n":30`, `"n":9999999999999999999`), "trades"},
		{"a negative count", replaced(`"n":30`, `"n":-1`), "trades"},
		{"a string for a time", replaced(`"t":1704067200000`, `"t":"1704067200000"`), "open time"},
		{"seconds", replaced(`"t":1704067200000`, `"t":1704067200`), "open time"},
		{"no event time", replaced(`"E":1704067212345,`, ""), "event time"},
		{"no word on whether it is closed", replaced(`"x":false,`, ""), `closed is "" where true or false`},
		{"null for closed", replaced(`"x":false`, `"x":null`), "closed"},
		{"a trade that is no number", replaced(`"f":3345601111`, `"f":true`), "first trade"},
		{"half of the trades", replaced(`"f":3345601111`, `"f":-1`), `first trade "-1" does not fit last trade "3345601140"`},
		{"trades backwards", replaced(`"L":3345601140`, `"L":3345601110`), "does not fit last trade"},
		{"a close before the open", replaced("1704068099999", "1704067199999"), "close time 2023-12-31T23:59:59.999Z does not fit"},
		{"a close after the interval", replaced("1704068099999", "1704068100000"), "close time 2024-01-01T00:15:00Z does not fit"},
		{"an event a day before the candle", replaced("1704067212345", "1703980799999"), "event time 2023-12-30T23:59:59.999Z is more than 24h0m0s away"},
		{"an event a day after the candle", replaced("1704067212345", "1704154500001"), "event time 2024-01-02T00:15:00.001Z is more than 24h0m0s away"},
		{"a price of nothing", replaced(`"42261.02000000"`, `"0.00000000"`), "low is 0"},
		{"a high below", replaced(`"42298.62000000"`, `"1"`), "high 1 is below"},
		{"a negative volume", replaced(`"35.92724000"`, `"-1"`), "volume is -1"},
		{"a taker volume above the whole", replaced(`"18.21740000"`, `"36"`), "taker buy volume 36 is above"},
	} {
		t.Run(test.name, func(t *testing.T) {
			event, known, err := decodeMessage([]byte(test.message), askedBTC, receivedAt)
			if err == nil || !strings.Contains(err.Error(), test.says) || known || event != (live.Event{}) {
				t.Fatalf("known %t, %+v, error %v, want %q", known, event, err, test.says)
			}
			if len(err.Error()) > 300 {
				t.Errorf("%d bytes of text: %v", len(err.Error()), err)
			}
		})
	}
}

// recorded returns messages that Binance sent, and the streams they are of.
func recorded(tb testing.TB) (messages []string, asked askedStreams) {
	tb.Helper()
	asked = askedStreams{}
	for _, name := range []string{"binance-ws-kline-frames.txt", "binance-ws-single-frames.jsonl"} {
		content, err := os.ReadFile(filepath.Join(dataFolder, "samples", name))
		if err != nil {
			tb.Skipf("skipped: no recorded messages: %v", err)
		}
		for line := range strings.Lines(string(content)) {
			if strings.HasSuffix(name, ".txt") {
				_, line, _ = strings.Cut(line, ": ") // a line begins with when it came in
			}
			messages = append(messages, strings.TrimSpace(line))
		}
	}
	for _, message := range messages {
		if kline, ok := generically(tb, message); ok {
			series := market.Series{Symbol: market.Symbol(kline["s"].(string)), Interval: market.Interval(kline["i"].(string))}
			asked[series] = streamOf(series)
		}
	}
	return messages, asked
}

// generically decodes a message by encoding/json and returns its kline.
func generically(tb testing.TB, message string) (kline map[string]any, found bool) {
	tb.Helper()
	decoder := json.NewDecoder(strings.NewReader(message))
	decoder.UseNumber()
	var event map[string]any
	if err := decoder.Decode(&event); err != nil {
		tb.Fatal(err)
	}
	if data, combined := event["data"].(map[string]any); combined {
		event = data
	}
	kline, found = event["k"].(map[string]any)
	if found {
		kline["E"] = event["E"]
	}
	return kline, found
}

// TestRecordedMessages compares what is read from real messages with what
// encoding/json finds in them.
func TestRecordedMessages(t *testing.T) {
	messages, asked := recorded(t)
	klines, withoutTrades := 0, 0
	for _, message := range messages {
		event, known, err := decodeMessage([]byte(message), asked, receivedAt)
		want, isKline := generically(t, message)
		if err != nil || known != isKline {
			t.Fatalf("known %t, error %v: %s", known, err, message)
		}
		if !isKline {
			continue
		}
		klines++
		kline, candle := event.Kline, event.Kline.Candle
		if kline.EventTime.Before(history.FirstListing) || kline.ReceivedAt != receivedAt {
			t.Fatalf("%+v", kline)
		}
		if candle.Trades.Value == 0 {
			withoutTrades++
			if kline.FirstTradeID.Valid || kline.LastTradeID.Valid || candle.Volume != 0 || candle.High != candle.Low {
				t.Errorf("a candle without trades: %+v", kline)
			}
		}
		got := map[string]any{
			"E": kline.EventTime.UnixMilli(), "t": candle.OpenTime.UnixMilli(), "s": kline.Symbol, "i": kline.Interval,
			"o": candle.Open, "h": candle.High, "l": candle.Low, "c": candle.Close, "v": candle.Volume,
			"q": candle.QuoteVolume.Value, "n": candle.Trades.Value, "x": kline.Closed,
		}
		if candle.TakerBuyVolume.Valid {
			got["V"], got["Q"] = candle.TakerBuyVolume.Value, candle.TakerBuyQuoteVolume.Value
		}
		if kline.FirstTradeID.Valid {
			got["f"], got["L"] = kline.FirstTradeID.Value, kline.LastTradeID.Value
		}
		for key, value := range want {
			if key == "T" || key == "B" || fmt.Sprint(value) == "-1" {
				continue
			}
			text := fmt.Sprint(value)
			if number, ok := got[key].(float64); ok {
				var parsed float64
				if err := json.Unmarshal([]byte(text), &parsed); err != nil || parsed != number {
					t.Errorf("%s is %v, want %s", key, number, text)
				}
			} else if fmt.Sprint(got[key]) != text {
				t.Errorf("%s is %v, want %s", key, got[key], text)
			}
			delete(got, key)
		}
		if len(got) != 0 {
			t.Errorf("%v is not in %s", got, message)
		}
	}
	if klines < 84 || withoutTrades == 0 {
		t.Errorf("%d klines, %d without trades", klines, withoutTrades)
	}
}

// FuzzDecodeMessage asserts of any bytes whatever that nothing but a valid kline
// of an asked stream passes for one.
func FuzzDecodeMessage(f *testing.F) {
	f.Add([]byte(openKline))
	f.Add([]byte(`{"e":"serverShutdown","E":1770123456789}`))
	f.Add([]byte(`{"result":null,"id":1}`))
	f.Add([]byte(strings.Replace(openKline, `"B":"0"`, `"\"":[{}],"B":{"]":"\\"}`, 1)))
	f.Add([]byte(openKline[:150]))
	f.Add([]byte("{\"e\" : \"kline\"\t,\"k\":\r\n{}}"))
	f.Fuzz(func(t *testing.T, message []byte) {
		event, known, err := decodeMessage(message, askedBTC, receivedAt)
		switch {
		case err != nil:
			if known || event != (live.Event{}) || len(err.Error()) > 600 {
				t.Fatalf("known %t, %+v, %d bytes: %v", known, event, len(err.Error()), err)
			}
			return
		case !json.Valid(message):
			t.Fatal("no JSON, and no error")
		case !known || event.Shutdown:
			if event.Kline != (live.Kline{}) {
				t.Fatalf("%+v", event)
			}
			return
		}
		kline := event.Kline
		if err := kline.Candle.Validate(); err != nil {
			t.Fatal(err)
		}
		opens := kline.Candle.OpenTime
		if kline.Series != btc15m || kline.Candle.Source != btc15m.Interval || kline.Candle.Parts != 1 ||
			opens.Location() != time.UTC || kline.EventTime.Before(opens.Add(-eventTimeSlack)) ||
			kline.EventTime.After(btc15m.Interval.Next(opens).Add(eventTimeSlack)) ||
			kline.FirstTradeID.Value > kline.LastTradeID.Value {
			t.Fatalf("%+v", kline)
		}
	})
}

func BenchmarkDecodeMessage(b *testing.B) {
	message := []byte(openKline)
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		if _, known, err := decodeMessage(message, askedBTC, receivedAt); err != nil || !known {
			b.Fatal(known, err)
		}
	}
}
