package binance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	gobinance "github.com/adshao/go-binance/v2"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// DefaultRESTURL serves market data only, needs no key and is refused to fewer
// regions than the host on which people trade.
const DefaultRESTURL = "https://data-api.binance.vision"

// Timeouts of the parts of a request. Waiting for the governor's leave is in
// none of them.
const (
	dialTimeout   = 10 * time.Second // TLS has as long again
	headerTimeout = 20 * time.Second
	bodyTimeout   = 30 * time.Second
)

// Config says where the exchange is and how to speak to it.
type Config struct {
	RESTURL string       // DefaultRESTURL where empty
	APIKey  string       // optional: no answer that the client asks for needs one
	Pauses  PauseStore   // nil keeps a pause in memory only
	Log     *slog.Logger // nil logs nothing
}

// Client asks Binance's public REST interface. It is safe for concurrent use;
// all requests of a process should go through one, which keeps them under the
// exchange's limit.
type Client struct {
	library  *gobinance.Client
	answers  *answers
	governor *governor
	clock    *clock
	log      *slog.Logger

	limitTurn  turnstile
	limitKnown atomic.Bool
}

var _ history.Exchange = (*Client)(nil)

// NewClient returns a client that has asked nothing yet. An address that cannot
// be one, or a key that cannot be sent, is an Invalid error that names the
// environment variable it comes from.
func NewClient(config Config) (*Client, error) {
	address, host, err := parseRESTURL(config.RESTURL)
	if err != nil {
		return nil, err
	}
	for _, c := range []byte(config.APIKey) {
		if c <= ' ' || c > '~' {
			return nil, market.Errorf(market.Invalid, "BINANCE_API_KEY holds a space, a line break or another character that no key has")
		}
	}
	log := config.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	client := &Client{log: log, limitTurn: newTurnstile()}
	client.clock = newClock(client.serverTime, log)
	client.governor = newGovernor(&http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        90 * time.Second,
		ForceAttemptHTTP2:      true, // an own dialer would turn it off
	}, host, config.Pauses, client.clock.estimate, log)
	client.answers = &answers{next: client.governor, apiKey: config.APIKey}
	client.library = gobinance.NewClient("", "") // answers adds the key: go-binance sends none with market data
	client.library.BaseURL = address
	client.library.HTTPClient = &http.Client{Transport: client.answers}
	return client, nil
}

// parseRESTURL returns the address without a slash at its end, and its host.
func parseRESTURL(text string) (address, host string, err error) {
	if text == "" {
		text = DefaultRESTURL
	}
	parsed, err := url.Parse(text)
	switch {
	case err != nil, parsed.Scheme != "https" && parsed.Scheme != "http", parsed.Hostname() == "",
		parsed.Path != "" && parsed.Path != "/", parsed.RawQuery != "", parsed.Fragment != "":
		return "", "", market.Errorf(market.Invalid, "BINANCE_REST_URL must be a scheme and a host, such as %s", DefaultRESTURL)
	case parsed.User != nil:
		return "", "", market.Errorf(market.Invalid, "BINANCE_REST_URL must hold no name and password: errors and logs would show them")
	}
	host = strings.ToLower(parsed.Host)
	return parsed.Scheme + "://" + host, host, nil
}

// Now implements history.Exchange. It goes back only where it turns out to have
// been wrong.
func (c *Client) Now(ctx context.Context) (time.Time, error) {
	now, err := c.clock.now(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("asking the exchange for its time: %w", err)
	}
	return now, nil
}

// Estimate returns the exchange's time by its newest measurement, which may be a
// little later, and whether there is one that our own clocks have not parted
// since: where one of them was set, or the machine slept, it says nothing. It asks
// nobody.
func (c *Client) Estimate() (now time.Time, known bool) {
	c.clock.mu.Lock()
	defer c.clock.mu.Unlock()
	ours, measured := time.Now(), c.clock.measured
	return measured.at(ours).UTC(), !measured.received.IsZero() && !measured.stepped(ours)
}

// Listed implements history.Exchange. A symbol that the exchange knows and that
// was never traded is a NotFound error too.
func (c *Client) Listed(ctx context.Context, symbol market.Symbol) (time.Time, error) {
	series := market.Series{Symbol: symbol, Interval: market.Minute1}
	now, err := c.Now(ctx)
	if err != nil {
		return time.Time{}, err
	}
	oldest, _, err := c.klines(ctx, klinesRequest{series, market.TimeRange{Start: time.Unix(0, 0), End: now}, 1})
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("asking the exchange since when %s is listed: %w", symbol, err)
	case len(oldest) == 0:
		return time.Time{}, market.Errorf(market.NotFound, "the exchange has no candle of %s yet", symbol)
	}
	return oldest[0].OpenTime, nil
}

// Candles implements history.Exchange. A candle that is not known to be closed is
// left out: one of which the close time does not lie before Now, or not before
// the answer itself was made, should Now be wrong. Where nothing is left of the
// answer to a range that is not over by then, that is an Unavailable error: such
// an answer does not mean that there are no candles.
func (c *Client) Candles(ctx context.Context, series market.Series, r market.TimeRange) ([]market.Candle, error) {
	if r.Empty() {
		return nil, nil
	}
	now, err := c.Now(ctx)
	if err != nil {
		return nil, err
	}
	candles, date, err := c.klines(ctx, klinesRequest{series, r, history.PageLimit})
	if err != nil {
		return nil, fmt.Errorf("asking the exchange for candles of %s: %w", series, err)
	}
	over := c.earlier(now, date)
	closed := len(candles)
	for closed > 0 && !series.Interval.Next(candles[closed-1].OpenTime).Before(over) {
		closed--
	}
	if closed == 0 && !r.End.Before(over) {
		return nil, market.Errorf(market.Unavailable,
			"by the exchange's clock it is only %s, too early to tell which candles of %s open up to %s: ask again",
			over.UTC().Format(time.RFC3339), series, r.End.UTC().Format(time.RFC3339))
	}
	return candles[:closed], nil
}

// clockAhead is by how much an answer's date may show the clock to be ahead
// before the clock is taken to be wrong.
const clockAhead = 5 * time.Second

// earlier returns now, or less where an answer that was asked for after it shows
// by its date that now had not come. The date is rounded down to a second; the
// zero one says nothing.
func (c *Client) earlier(now, date time.Time) time.Time {
	if date.IsZero() {
		return now
	}
	latest := date.Add(time.Second - settleTime)
	if !latest.Before(now) {
		return now
	}
	if ahead := now.Sub(latest); ahead > clockAhead {
		c.log.Warn("the exchange's answer was made before the time that it told: its clock is measured anew",
			slog.Duration("ahead", ahead), slog.Time("date", date))
		c.clock.refute(now)
	}
	return latest
}

// Origin returns whose candles the exchange answers: those of a simulated
// market where its answers bear history.SimulatedHeader. It asks only where nothing was
// answered yet.
func (c *Client) Origin(ctx context.Context) (history.Origin, error) {
	if origin := c.answers.origin.Load(); origin != nil {
		return *origin, nil
	}
	if _, err := c.Now(ctx); err != nil {
		return "", err
	}
	return *c.answers.origin.Load(), nil
}

// WeightPerMinute returns how much weight the client allows itself a minute, on
// average: a hundredth less than half of what the exchange does. Until it has told
// its limit, that is reckoned from the one that is assumed.
func (c *Client) WeightPerMinute() int { return c.governor.perMinute() }

// klines asks for one page of candles, open ones included, and returns when the
// answer was made too, as kept has it.
func (c *Client) klines(ctx context.Context, asked klinesRequest) ([]market.Candle, time.Time, error) {
	if err := c.learnLimit(ctx); err != nil {
		return nil, time.Time{}, err
	}
	var answer kept
	_, err := c.library.NewKlinesService().
		Symbol(string(asked.series.Symbol)).
		Interval(string(asked.series.Interval)).
		StartTime(asked.opens.Start.UnixMilli()).
		EndTime(asked.opens.End.Add(-1).UnixMilli()). // inclusive
		Limit(asked.limit).
		Do(keeping(ctx, &answer))
	if err != nil {
		return nil, time.Time{}, failure(err)
	}
	candles, err := decodeKlines(answer.body, asked)
	if err != nil {
		return nil, time.Time{}, market.Errorf(market.Unavailable, "the answer is malformed: %v", err)
	}
	return candles, answer.date, nil
}

// serverTime asks for the exchange's time.
func (c *Client) serverTime(ctx context.Context) (time.Time, error) {
	if err := c.learnLimit(ctx); err != nil {
		return time.Time{}, err
	}
	milliseconds, err := c.library.NewServerTimeService().Do(ctx)
	if err != nil {
		return time.Time{}, failure(err)
	}
	// go-binance makes 0 of what is no whole number.
	const tooManyDigits = 1e13
	if milliseconds < history.FirstListing.UnixMilli() || milliseconds >= tooManyDigits {
		return time.Time{}, market.Errorf(market.Unavailable, "the answer is malformed: it tells no time in milliseconds since 1970")
	}
	return time.UnixMilli(milliseconds).UTC(), nil
}

// learnLimit asks for the exchange's limit before anything else is asked, once.
// A host that refuses to tell it is taken to have Binance's usual one; one that
// cannot answer now is not.
//
// A ping goes ahead of that heavy question, so that a process that begins, again
// and again perhaps, sends a weight of 1 without knowing what is used. Only where
// no answer tells what is used, the question is sent blindly too.
func (c *Client) learnLimit(ctx context.Context) error {
	if c.limitKnown.Load() {
		return nil
	}
	if err := c.limitTurn.enter(ctx); err != nil {
		return err
	}
	defer c.limitTurn.leave()
	if c.limitKnown.Load() {
		return nil
	}
	if !c.governor.knowsUse() {
		if err := c.library.NewPingService().Do(ctx); err != nil {
			return fmt.Errorf("asking the exchange whether it is there: %w", failure(err))
		}
	}
	// Without a symbol the answer would be some 20 MB.
	info, err := c.library.NewExchangeInfoService().Symbol("BTCUSDT").Do(ctx)
	limit := usualLimit
	if err != nil {
		err = failure(err)
		refusal, refused := errors.AsType[*market.Error](err)
		if !refused || refusal.Code == market.Unavailable || refusal.Code == market.Forbidden {
			return fmt.Errorf("asking the exchange for its limits: %w", err)
		}
		c.log.Warn("the exchange does not tell its limits: Binance's usual one is assumed", slog.Any("error", err))
	} else if limit, err = limitOf(info.RateLimits); err != nil {
		return fmt.Errorf("asking the exchange for its limits: %w", err)
	}
	c.governor.setLimit(limit)
	c.limitKnown.Store(true)
	return nil
}
