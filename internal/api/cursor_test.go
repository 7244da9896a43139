package api

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

func FuzzCursor(f *testing.F) {
	for _, text := range []string{
		cursorText(candleKey{microsecondsOf(earliest)}), cursorText(candleKey{microsecondsOf(latest.Add(-time.Microsecond))}),
		cursorText(runKey{microsecondsOf(day1), -3}), cursorText(userKey{"ada"}), cursorText(forecastKey{1, 2, 3}), cursorText(entryKey{7}),
		base64.RawURLEncoding.EncodeToString([]byte(`candles{"t":1,"t":2}`)), base64.RawURLEncoding.EncodeToString([]byte(`candles{"T":1}`)),
		"", "AAAAAAAAAAB", "AAAAAAAAAA\n", "//////////8",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		checkCursor[candleKey](t, text)
		checkCursor[runKey](t, text)
		checkCursor[forecastKey](t, text)
		checkCursor[userKey](t, text)
		checkCursor[entryKey](t, text)
	})
}

// checkCursor: what is taken is what MarshalText writes of it, and stands in the list.
func checkCursor[K key](t *testing.T, text string) {
	t.Helper()
	var c cursor[K]
	if err := c.UnmarshalText([]byte(text)); err != nil {
		if err != errCursor || c != (cursor[K]{}) {
			t.Errorf("%q: %v, %+v", text, err, c)
		}
		return
	}
	if !c.given || !c.after.valid() || cursorText(c.after) != text {
		t.Errorf("%q is read as %+v, which is written %q", text, c, cursorText(c.after))
	}
}

func TestCursorsOfOtherListsAreRefused(t *testing.T) {
	s := serveFake(t, newService(3))
	admin := []string{"Authorization", basic(adminName, adminPassword)}
	cursors := map[string]string{
		"/v1/symbols/BTCUSDT/candles":   cursorText(candleKey{microsecondsOf(day1)}),
		"/v1/symbols/BTCUSDT/forecasts": cursorText(forecastKey{microsecondsOf(day1), microsecondsOf(day1), 1}),
		"/v1/jobs/ingest/runs":          cursorText(runKey{microsecondsOf(day1), 1}),
		"/v1/audit":                     cursorText(entryKey{1}),
		"/v1/users":                     cursorText(userKey{"ada"}),
	}
	for target := range cursors {
		for of, text := range cursors {
			a := s.get(t, target+"?cursor="+text, admin...)
			if own := target == of; own && a.status != http.StatusOK || !own && a.status != http.StatusUnprocessableEntity {
				t.Errorf("%s with a cursor of %s: status %d: %s", target, of, a.status, a.body)
			}
		}
	}
}

// linkOf returns the address of a relation in an answer's Link, "" where it has none.
func linkOf(a answer, relation string) string {
	address, found := strings.CutSuffix(a.header.Get("Link"), `>; rel="`+relation+`"`)
	if !found {
		return ""
	}
	return strings.TrimPrefix(address, "<")
}

// Of a real database, whose lists grow at both ends and in the middle while a client
// walks through them by Link, each element that was there from the beginning comes once.
func TestPagesAreStableWhileListsGrow(t *testing.T) {
	database := timescaletest.Open(t)
	storeStormCandles(t, database)
	people, err := accounts.NewService(database, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	f := newService(1)
	mux := http.NewServeMux()
	if err := Register(mux, Dependencies{
		History: database, Coins: database, Accounts: people, Runs: database, Records: database, Current: f.current, Now: time.Now,
	}); err != nil {
		t.Fatal(err)
	}
	s := service{Wrap(mux, fakePeople{f}, f.current, discard), nil}
	root := accounts.Caller{Username: "root", Role: accounts.Admin}
	note := func(k int) {
		if err := people.Note(t.Context(), root, accounts.RunJob, fmt.Sprint("entry ", k), nil); err != nil {
			t.Fatal(err)
		}
	}
	coinAt := func(at time.Time) {
		if _, err := database.WriteCoins(t.Context(), []market.Coin{{ID: "bitcoin", Ticker: "BTC", Name: "Bitcoin", AsOf: at}}); err != nil {
			t.Fatal(err)
		}
	}
	for k := range 10 {
		note(k)
		coinAt(day1.Add(time.Duration(k) * time.Hour))
	}
	for _, test := range []struct {
		target string
		grow   func(page int)
		ids    func(a answer) []string
		least  int
	}{
		{"/v1/audit?limit=3", func(page int) { note(100 + page) }, func(a answer) (ids []string) {
			for _, e := range decode[auditPage](t, a, http.StatusOK).Entries {
				ids = append(ids, e.Subject)
			}
			return ids
		}, 10},
		{"/v1/coins/bitcoin/history?limit=3&start=2024-03-01T00:00:00Z&end=2024-03-01T09:30:00Z", func(page int) {
			coinAt(day1.Add(-time.Duration(page+1) * time.Hour))
			coinAt(day1.Add(time.Duration(page)*time.Hour + time.Minute))
		}, func(a answer) (ids []string) {
			for _, c := range decode[coinHistory](t, a, http.StatusOK).History {
				ids = append(ids, c.AsOf.String())
			}
			return ids
		}, 10},
		{"/v1/symbols/BTCUSDT/candles?limit=10&start=2024-03-01T00:00:00Z", func(page int) {
			open := day1.Add(-time.Duration(page+1) * 15 * time.Minute)
			if err := database.StoreClosed(t.Context(), btc15m, candleAt(open, 1)); err != nil {
				t.Fatal(err)
			}
		}, func(a answer) (ids []string) {
			for _, c := range decode[candlePage](t, a, http.StatusOK).Candles {
				ids = append(ids, c.OpenTime.String())
			}
			return ids
		}, 96},
	} {
		seen := map[string]bool{}
		pages := 0
		for target := test.target; target != ""; pages++ {
			a := s.get(t, target, "Authorization", basic(adminName, adminPassword))
			for _, id := range test.ids(a) {
				if seen[id] {
					t.Errorf("%s: %s comes twice", test.target, id)
				}
				seen[id] = true
			}
			test.grow(pages)
			target = linkOf(a, "next")
		}
		if len(seen) < test.least || pages < 4 {
			t.Errorf("%s: %d elements came in %d pages, want %d at least", test.target, len(seen), pages, test.least)
		}
	}
}

// A candle that is found between two pages, behind the one that the client has, is on
// the next page.
func TestACandleFoundBetweenTwoPagesIsNotPassedOver(t *testing.T) {
	f := newService(6)
	found := f.candles[btc15m][3]
	f.candles[btc15m] = append(f.candles[btc15m][:3:3], f.candles[btc15m][4:]...)
	s := serveFake(t, f)
	first := s.get(t, "/v1/symbols/BTCUSDT/candles?limit=3&start=0")
	f.candles[btc15m] = append(f.candles[btc15m][:3:3], append([]market.Candle{found}, f.candles[btc15m][3:]...)...)
	second := decode[candlePage](t, s.get(t, linkOf(first, "next")), http.StatusOK)
	if len(second.Candles) != 3 || !second.Candles[0].OpenTime.Equal(found.OpenTime) {
		t.Errorf("the second page has %v", openTimesIn(second))
	}
}

func TestOlderCandlesAreLinked(t *testing.T) {
	s := serveFake(t, newService(10))
	var pages []int
	for target := "/v1/symbols/btcusdt/candles?limit=4"; target != ""; {
		a := s.get(t, target)
		pages = append(pages, len(decode[candlePage](t, a, http.StatusOK).Candles))
		target = linkOf(a, "prev")
	}
	if fmt.Sprint(pages) != "[4 4 2]" {
		t.Errorf("the pages back hold %v candles", pages)
	}
}
