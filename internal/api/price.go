package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Live hands on what the market does now.
type Live interface {
	// Newest returns the newest price update of a symbol, nil where there was none.
	Newest(symbol market.Symbol) *live.Update
	// Subscribe returns a subscription to all symbols, or to those named, which
	// begins after the update of an ID, or with the newest ones where it is 0.
	Subscribe(after uint64, symbols ...market.Symbol) *live.Subscription
}

// staleAfter is the age above which a price is stale: an exchange tells of a
// traded pair every second or two.
const staleAfter = 15 * time.Second

type priceInput struct {
	Symbol symbolName `path:"symbol"`
}

type latestPrice struct {
	Symbol     market.Symbol `json:"symbol" example:"BTCUSDT"`
	Origin     *origin       `json:"origin"`
	Price      float64       `json:"price" doc:"In the quote asset."`
	State      string        `json:"state" enum:"live,stale,stored" doc:"live: received within the last 15 seconds. stale: received before that, so that the market may have moved on. stored: nothing has been received since the service started; this is the close of the newest stored candle."`
	AgeSeconds int64         `json:"age_seconds" doc:"Whole seconds since the service received the price; where state is stored, since that candle closed."`
	EventTime  time.Time     `json:"event_time" doc:"When the exchange said so, by its clock; where state is stored, when that candle closed."`
	OpenCandle *OpenCandle   `json:"open_candle,omitempty" doc:"Left out where state is stored."`
}

// priceReader answers with the newest price there is.
type priceReader struct {
	history History
	live    Live
	now     func() time.Time
	known   *knownOrigin
}

func registerPrice(api huma.API, prices priceReader) {
	register(api, huma.Operation{
		OperationID: "get-price", Method: http.MethodGet, Path: "/v1/symbols/{symbol}/price", Tags: []string{"market"}, Security: open,
		Summary:     "Get price",
		Description: "The newest price of a symbol with its age, and the candle that is open.",
		Errors:      []int{http.StatusNotFound},
	}, func(ctx context.Context, input *priceInput) (*struct{ Body latestPrice }, error) {
		return prices.read(ctx, input.Symbol)
	})
}

func (p priceReader) read(ctx context.Context, name symbolName) (*struct{ Body latestPrice }, error) {
	symbol, err := market.ParseSymbol(string(name))
	if err != nil {
		return nil, err
	}
	from, err := p.known.get(ctx)
	if err != nil {
		return nil, err
	}
	answer := latestPrice{Symbol: symbol, Origin: from}
	var newest *live.Update
	if p.live != nil {
		newest = p.live.Newest(symbol)
	}
	if newest == nil {
		err = answer.fillStored(ctx, p.history, p.now())
	} else {
		answer.fillLive(newest.Price, p.now())
	}
	return &struct{ Body latestPrice }{answer}, err
}

// knownOrigin keeps the origin once it is known, for it never changes then: what
// comes from the stream is answered while the database is away. It is safe for
// concurrent use.
type knownOrigin struct {
	history History
	known   atomic.Pointer[origin]
}

// get returns the origin, nil where it is not known yet.
func (k *knownOrigin) get(ctx context.Context) (*origin, error) {
	if from := k.known.Load(); from != nil {
		return from, nil
	}
	stored, err := k.history.Origin(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking where the candles come from: %w", err)
	}
	from := originOf(stored)
	if from != nil {
		k.known.Store(from)
	}
	return from, nil
}

func (p *latestPrice) fillLive(k *live.Kline, now time.Time) {
	open, age := openCandleOf(k), now.Sub(k.ReceivedAt)
	p.Price, p.EventTime, p.OpenCandle = k.Candle.Close, k.EventTime.UTC(), &open
	p.AgeSeconds, p.State = int64(age/time.Second), "live"
	if age > staleAfter {
		p.State = "stale"
	}
}

func (p *latestPrice) fillStored(ctx context.Context, h History, now time.Time) error {
	stored, err := h.Catalogue(ctx)
	if err != nil {
		return fmt.Errorf("looking up %s: %w", p.Symbol, err)
	}
	var newest history.StoredSeries
	var closed time.Time
	for _, s := range stored {
		if c := s.Interval.Next(s.Last); s.Symbol == p.Symbol && c.After(closed) {
			newest, closed = s, c
		}
	}
	if closed.IsZero() {
		return unknownSymbol(stored, p.Symbol)
	}
	candles, err := h.Candles(ctx, newest.Series, market.TimeRange{Start: newest.Last, End: closed}, 1)
	if err != nil {
		return fmt.Errorf("reading the newest candle of %s: %w", newest.Series, err)
	}
	if len(candles) == 0 {
		return market.Errorf(market.Unavailable, "the newest candle of %s is being replaced: ask again", newest.Series)
	}
	p.Price, p.EventTime, p.State = candles[0].Close, closed.UTC(), "stored"
	p.AgeSeconds = int64(now.Sub(closed) / time.Second)
	return nil
}

// unknownSymbol says that nothing is known of a symbol, and of which there is.
func unknownSymbol(stored history.Catalogue, symbol market.Symbol) error {
	var names []string
	for _, name := range stored.Symbols() {
		names = append(names, string(name))
	}
	if len(names) == 0 {
		return market.Errorf(market.NotFound, "nothing is stored of any symbol yet: run cryptoboat backfill")
	}
	return market.Errorf(market.NotFound, "nothing is known of %s: ask for one of %s", symbol, strings.Join(names, ", "))
}
