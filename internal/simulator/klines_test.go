package simulator

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/adshao/go-binance/v2"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// fromWire reads a kline as go-binance gives it.
func fromWire(t *testing.T, interval market.Interval, kline *binance.Kline) market.Candle {
	t.Helper()
	decimal := func(text string) float64 {
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	return market.Candle{
		OpenTime: time.UnixMilli(kline.OpenTime).UTC(), Source: interval, Parts: 1,
		Open: decimal(kline.Open), High: decimal(kline.High), Low: decimal(kline.Low), Close: decimal(kline.Close),
		Volume: decimal(kline.Volume), QuoteVolume: market.Some(decimal(kline.QuoteAssetVolume)), Trades: market.Some(kline.TradeNum),
		TakerBuyVolume:      market.Some(decimal(kline.TakerBuyBaseAssetVolume)),
		TakerBuyQuoteVolume: market.Some(decimal(kline.TakerBuyQuoteAssetVolume)),
	}
}

func TestKlinesAreWhatTheSourceSays(t *testing.T) {
	e := open(t, Config{})
	for _, test := range []struct {
		name       string
		interval   market.Interval
		start, end string // empty where not sent
		limit      int    // 0 where not sent
		first      string
		rows       int
		open       bool // the last one is the open candle
	}{
		{"oldest from the start", "15m", "2024-01-01T00:00:00Z", "", 1000, "2024-01-01T00:00:00Z", 1000, false},
		{"five hundred by default", "15m", "2024-01-01T00:00:00Z", "", 0, "2024-01-01T00:00:00Z", 500, false},
		{"a start within a candle", "1h", "2024-01-01T00:00:00.001Z", "2024-01-01T03:00:00Z", 0, "2024-01-01T01:00:00Z", 3, false},
		{"the end counts", "15m", "2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z", 0, "2024-01-01T00:00:00Z", 5, false},
		{"the millisecond before does not", "15m", "2024-01-01T00:00:00Z", "2024-01-01T00:59:59.999Z", 0, "2024-01-01T00:00:00Z", 4, false},
		{"before the listing", "15m", "2010-01-01T00:00:00Z", "", 3, "2017-08-17T04:00:00Z", 3, false},
		{"over an outage", "1h", "2018-02-08T00:00:00Z", "2018-02-09T10:00:00Z", 0, "2018-02-08T00:00:00Z", 3, false},
		{"within an outage", "1h", "2018-02-08T02:00:00Z", "2018-02-08T03:00:00Z", 0, "", 0, false},
		{"up to now", "15m", "2024-05-17T12:00:00Z", "", 0, "2024-05-17T12:00:00Z", 2, true},
		{"an end in the future", "15m", "2024-05-17T12:00:00Z", "2030-01-01T00:00:00Z", 0, "2024-05-17T12:00:00Z", 2, true},
		{"no room for the open one", "15m", "2024-05-17T12:00:00Z", "", 1, "2024-05-17T12:00:00Z", 1, false},
		{"a start in the future", "15m", "2024-05-17T12:30:00Z", "", 0, "", 0, false},
		{"an end before the start", "15m", "2024-05-17T12:00:00Z", "2024-05-16T12:00:00Z", 0, "", 0, false},
		{"the newest", "15m", "", "", 3, "2024-05-17T11:45:00Z", 3, true},
		{"the newest one", "1M", "", "", 1, "2024-05-01T00:00:00Z", 1, true},
		{"the newest before an end", "15m", "", "2024-01-01T00:00:00Z", 2, "2023-12-31T23:45:00Z", 2, false},
		{"the newest before an outage's end", "1h", "", "2018-02-09T08:00:00Z", 3, "2018-02-07T22:00:00Z", 3, false},
		{"all there are", "1M", "", "", 1000, "2017-08-01T00:00:00Z", 82, true},
		{"weeks", "1w", "2024-04-30T00:00:00Z", "", 0, "2024-05-06T00:00:00Z", 2, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			service := e.binance().NewKlinesService().Symbol("ETHUSDT").Interval(string(test.interval))
			if test.start != "" {
				service.StartTime(date(test.start).UnixMilli())
			}
			if test.end != "" {
				service.EndTime(date(test.end).UnixMilli())
			}
			if test.limit > 0 {
				service.Limit(test.limit)
			}
			for attempt := range 2 { // the second may come from the cache
				rows, err := service.Do(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if len(rows) != test.rows {
					t.Fatalf("attempt %d: %d rows, want %d", attempt, len(rows), test.rows)
				}
				if test.rows == 0 {
					continue
				}
				if first := time.UnixMilli(rows[0].OpenTime); !first.Equal(date(test.first)) {
					t.Errorf("the first opens at %s", first.UTC())
				}
				series := market.Series{Symbol: "ETHUSDT", Interval: test.interval}
				for k, row := range rows {
					got := fromWire(t, test.interval, row)
					want, _ := e.source.closed(series, got.OpenTime)
					if isOpen := row.CloseTime >= startsAt.UnixMilli(); isOpen {
						want, _ = e.source.OpenCandle(series, startsAt)
						if k != len(rows)-1 || !test.open {
							t.Errorf("row %d is open", k)
						}
					}
					if got != want {
						t.Fatalf("row %d:\n%+v, want\n%+v", k, got, want)
					}
					if close := test.interval.Next(got.OpenTime).UnixMilli() - 1; row.CloseTime != close {
						t.Errorf("row %d closes at %d, want %d", k, row.CloseTime, close)
					}
				}
				if last := rows[len(rows)-1]; test.open && last.CloseTime < startsAt.UnixMilli() {
					t.Error("the open candle is missing")
				}
			}
		})
	}
}

func TestWrongParametersAreBinancesErrors(t *testing.T) {
	e := open(t, Config{})
	const good = "symbol=BTCUSDT&interval=15m"
	for _, test := range []struct {
		path, query string
		code        int
	}{
		{"klines", "symbol=DOGEUSDT&interval=15m", -1121},
		{"klines", "symbol=btcusdt&interval=15m", -1100},
		{"klines", "interval=15m", -1102},
		{"klines", "symbol=&interval=15m", -1102},
		{"klines", "symbol=BTCUSDT", -1102},
		{"klines", "symbol=BTCUSDT&interval=15M", -1120},
		{"klines", "symbol=BTCUSDT&interval=2m", -1120},
		{"klines", good + "&limit=x", -1100},
		{"klines", good + "&limit=-1", -1100},
		{"klines", good + "&limit=0", -1130},
		{"klines", good + "&limit=99999999999999999999", -1130},
		{"klines", good + "&startTime=1.5", -1100},
		{"klines", good + "&endTime=253402300800000", -1130},
		{"klines", good + "&timeZone=8", -1130},
		{"klines", good + "&colour=red", -1104},
		{"klines", good + "&symbol=ETHUSDT", -1101},
		{"klines", good + "&%zz", -1100},
		{"ping", "symbol=BTCUSDT", -1104},
		{"ticker/price", "symbol=DOGEUSDT", -1121},
		{"ticker/price", "symbols=" + url.QueryEscape(`["BTCUSDT","DOGEUSDT"]`), -1121},
		{"ticker/price", "symbols=BTCUSDT", -1100},
		{"ticker/price", "symbol=BTCUSDT&symbols=" + url.QueryEscape(`["BTCUSDT"]`), -1128},
		{"exchangeInfo", "symbol=DOGEUSDT", -1121},
	} {
		response, body := e.get(t, "/api/v3/"+test.path+"?"+test.query)
		if want := fmt.Sprintf(`{"code":%d,"msg":"`, test.code); response.StatusCode != http.StatusBadRequest || len(body) < len(want) || body[:len(want)] != want {
			t.Errorf("%s?%s: %d %s, want %d", test.path, test.query, response.StatusCode, body, test.code)
		}
	}
	if response, body := e.get(t, "/api/v3/klines?"+good+"&limit=5000"); response.StatusCode != http.StatusOK || len(body) < 100_000 {
		t.Errorf("more than the limit is cut to it: %d, %d bytes", response.StatusCode, len(body))
	}
}

func TestPagesThatCannotChangeAreKept(t *testing.T) {
	e := open(t, Config{})
	calls := func(query string) int64 {
		before := e.source.asked.Load()
		e.get(t, "/api/v3/klines?symbol=BTCUSDT&interval=15m&"+query)
		return e.source.asked.Load() - before
	}
	start := "startTime=" + strconv.FormatInt(date("2024-05-17T10:00:00Z").UnixMilli(), 10)
	closed := start + "&limit=9" // up to 12:15
	if first, again := calls(closed), calls(closed); first != 1 || again != 0 {
		t.Errorf("a full page of closed candles asked the source %d times, then %d", first, again)
	}
	for _, query := range []string{start, start + "&limit=10", "limit=9"} {
		if first, again := calls(query), calls(query); first != 1 || again != 1 {
			t.Errorf("%s: a page that will change asked the source %d times, then %d", query, first, again)
		}
	}
	e.clock.Set(date("2024-05-17T12:14:59.999Z"))
	if _, body := e.get(t, "/api/v3/klines?symbol=BTCUSDT&interval=15m&"+closed); calls(closed) != 1 || len(body) == 0 {
		t.Error("a page is kept although its last candle is open again")
	}
}

func TestTheCacheForgetsWhatWasNotUsed(t *testing.T) {
	var cache klineCache
	query := func(limit int) klineQuery {
		return klineQuery{series: market.Series{Symbol: "BTCUSDT", Interval: market.Minute15}, limit: limit}
	}
	body := make([]byte, cacheBytes/4)
	for limit := range 4 {
		cache.put(query(limit), body, startsAt)
		cache.put(query(limit), body, startsAt)
	}
	cache.get(query(0), startsAt)
	cache.put(query(4), body, startsAt)
	for limit, want := range []bool{true, false, true, true, true} {
		if _, found := cache.get(query(limit), startsAt); found != want {
			t.Errorf("page %d: %t", limit, found)
		}
	}
	if cache.bytes != cacheBytes || cache.used.Len() != 4 {
		t.Errorf("%d pages of %d bytes", cache.used.Len(), cache.bytes)
	}
}

func benchmarkKlines(b *testing.B, pages int) {
	e := open(b, Config{RateLimit: RateLimit{Weight: 1 << 40}})
	first := date("2019-01-01T00:00:00Z")
	buffer := make([]byte, 1<<20)
	k := 0
	b.ResetTimer()
	for b.Loop() {
		start := first.Add(time.Duration(k%pages) * 15 * time.Minute).UnixMilli()
		response, err := e.client.Get(fmt.Sprintf("%s/api/v3/klines?symbol=BTCUSDT&interval=15m&limit=1000&startTime=%d", e.url, start))
		if err != nil {
			b.Fatal(err)
		}
		for {
			if _, err := response.Body.Read(buffer); err != nil {
				break
			}
		}
		response.Body.Close()
		k++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

func BenchmarkKlinesCached(b *testing.B)   { benchmarkKlines(b, 1) }
func BenchmarkKlinesUncached(b *testing.B) { benchmarkKlines(b, 1<<30) }
