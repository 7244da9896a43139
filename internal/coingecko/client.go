// Package coingecko asks CoinGecko for the characteristics of coins.
package coingecko

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// DefaultURL is where the public API is.
const DefaultURL = "https://api.coingecko.com/api/v3"

const (
	// mostCoins is what one page holds; more ids would need more calls.
	mostCoins = 250
	// maxAnswerBytes is several times what mostCoins take.
	maxAnswerBytes = 4 << 20

	connectTimeout = 10 * time.Second
	answerTimeout  = 30 * time.Second

	// defaultPause is how long nothing is asked after a refusal that does not say
	// until when, and longestPause the longest that is believed.
	defaultPause = time.Minute
	longestPause = 24 * time.Hour
)

// Config says whom to ask, and as whom.
type Config struct {
	URL    string // of the API's root, http or https; DefaultURL where empty
	APIKey string // a demo key, sent with every call where not empty
}

// Client asks CoinGecko. It is safe for concurrent use.
type Client struct {
	root   *url.URL
	apiKey string
	http   *http.Client
	now    func() time.Time

	mutex       sync.Mutex
	pausedUntil time.Time // nothing is asked before
}

// NewClient returns a client, or an Invalid error for a configuration that
// cannot work. It asks nothing yet. No error repeats the configuration, which
// may hold secrets.
func NewClient(config Config) (*Client, error) {
	if config.URL == "" {
		config.URL = DefaultURL
	}
	root, err := url.Parse(config.URL)
	if err != nil || root.Scheme != "http" && root.Scheme != "https" || root.Host == "" ||
		root.User != nil || root.RawQuery != "" || root.Fragment != "" {
		return nil, market.Errorf(market.Invalid,
			"COINGECKO_URL is not the address of an API: use http or https, a host and a path, such as %s", DefaultURL)
	}
	if strings.ContainsFunc(config.APIKey, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, market.Errorf(market.Invalid, "COINGECKO_API_KEY holds blanks or other characters that no key has: copy it again")
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSHandshakeTimeout: connectTimeout,
		IdleConnTimeout:     time.Minute,
		ForceAttemptHTTP2:   true,
	}
	return &Client{
		root: root, apiKey: config.APIKey, now: time.Now,
		http: &http.Client{
			Transport: transport, Timeout: answerTimeout,
			// The key must not follow a redirect to another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Coins implements history.CoinSource with one call; for no ids it makes none.
// It returns an Unavailable error for whatever may pass: CoinGecko cannot be
// reached, is in trouble, answers nonsense, or asked to be left alone until an
// instant, before which nothing is asked. A Forbidden or an Invalid error will
// not pass, and says what to do.
//
// The coins are of a simulated market where the answer bears
// history.SimulatedHeader. Of no coins no origin is known.
func (c *Client) Coins(ctx context.Context, ids []string) ([]market.Coin, history.Origin, error) {
	if len(ids) == 0 {
		return nil, "", nil // CoinGecko would take it for all coins
	}
	if len(ids) > mostCoins {
		return nil, "", market.Errorf(market.Invalid, "%d coins are too many: ask for at most %d at once", len(ids), mostCoins)
	}
	for _, id := range ids {
		if !wellFormedID(id) {
			return nil, "", market.Errorf(market.Invalid,
				"%s is not the id of a coin: use up to %d letters, digits, dots, hyphens and underscores, such as bitcoin",
				quote(id), maxIDLength)
		}
	}
	body, header, err := c.get(ctx, "coins/markets", url.Values{
		"vs_currency": {"usd"}, "ids": {strings.Join(ids, ",")}, "per_page": {strconv.Itoa(mostCoins)},
	})
	if err != nil {
		return nil, "", fmt.Errorf("asking CoinGecko: %w", err)
	}
	coins, err := decodeMarkets(body, ids, c.now())
	if err != nil {
		return nil, "", market.Errorf(market.Unavailable, "CoinGecko's answer makes no sense: %v", err)
	}
	if header.Get(history.SimulatedHeader) != "" {
		return coins, history.Simulated, nil
	}
	return coins, history.Real, nil
}

// get returns the body and the header of an answer with status 200.
func (c *Client) get(ctx context.Context, path string, query url.Values) ([]byte, http.Header, error) {
	if err := c.paused(); err != nil {
		return nil, nil, err
	}
	address := c.root.JoinPath(path)
	address.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, nil, fmt.Errorf("making the request: %w", err)
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "CryptoBoat")
	if c.apiKey != "" {
		request.Header.Set("x-cg-demo-api-key", c.apiKey)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, nil, unreachable(ctx, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, nil, c.refusal(response)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	switch {
	case err != nil:
		return nil, nil, unreachable(ctx, err)
	case len(body) > maxAnswerBytes:
		return nil, nil, market.Errorf(market.Unavailable, "CoinGecko's answer is longer than %d bytes", maxAnswerBytes)
	}
	return body, response.Header, nil
}

// unreachable is the error of a call that was not answered whole.
func unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err // the caller's doing, not CoinGecko's
	}
	return fmt.Errorf("%w (%w)", market.Errorf(market.Unavailable, "CoinGecko does not answer"), err)
}

// refusal is the error of a status that is not 200.
func (c *Client) refusal(response *http.Response) error {
	switch status := response.StatusCode; {
	case status == http.StatusTooManyRequests:
		return c.pause(response.Header.Get("Retry-After"))
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return market.Errorf(market.Forbidden,
			"CoinGecko refuses the call (status %d): set COINGECKO_API_KEY to a valid demo key, or unset it", status)
	case status >= http.StatusInternalServerError, status == http.StatusRequestTimeout:
		return market.Errorf(market.Unavailable, "CoinGecko is in trouble (status %d)", status)
	default:
		return market.Errorf(market.Invalid,
			"CoinGecko does not answer this call (status %d; redirects are not followed): check COINGECKO_URL and COINGECKO_API_KEY", status)
	}
}

// paused returns the error of a call that must not be made yet: even a refused
// call counts against the quota.
func (c *Client) paused() error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if !c.now().Before(c.pausedUntil) {
		return nil
	}
	return pausedError(c.pausedUntil)
}

func pausedError(until time.Time) error {
	return market.Errorf(market.Unavailable, "CoinGecko allows no more calls until %s", until.UTC().Format(time.RFC3339))
}

// pause begins a pause by a Retry-After header, which holds seconds or a date
// (RFC 9110, section 10.2.3), and returns the error of the call that brought it.
func (c *Client) pause(retryAfter string) error {
	now := c.now()
	wait := defaultPause
	if seconds, err := strconv.ParseUint(retryAfter, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(retryAfter); err == nil {
		wait = at.Sub(now)
	}
	// A second at least: the answer was a refusal, whatever the header says.
	until := now.Add(min(max(wait, time.Second), longestPause))
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if until.After(c.pausedUntil) {
		c.pausedUntil = until
	}
	return pausedError(c.pausedUntil)
}
