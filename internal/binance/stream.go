package binance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// DefaultStreamURL serves market data only and is refused to fewer regions than
// the host on which people trade.
const DefaultStreamURL = "wss://data-stream.binance.vision"

// mostStreams is how many the exchange sends over one connection.
const mostStreams = 1024

// handshakeTimeout is for all that comes before the first event: the dialling,
// TLS and the exchange's answer.
const handshakeTimeout = 20 * time.Second

// usualSilence is as long as the exchange takes for four pings and some more.
const usualSilence = 90 * time.Second

// StreamConfig says where the exchange's streams are and what to take from them.
type StreamConfig struct {
	URL string // DefaultStreamURL where empty
	// Origin is the only one that events may have; "" lets both pass.
	Origin history.Origin
	// SilentAfter is how long a connection may bring no frame at all, a ping
	// included, before it counts as dead; 90 seconds where 0.
	SilentAfter time.Duration
	Pauses      PauseStore   // nil keeps a pause in memory only
	Log         *slog.Logger // nil logs nothing
}

// StreamDialer connects to Binance's public kline streams. It is safe for
// concurrent use.
type StreamDialer struct {
	config    StreamConfig
	host      string
	socket    func(ctx context.Context, network, address string) (net.Conn, error)
	websocket websocket.Dialer
	pause     *streamPause
}

var _ live.Dialer = (*StreamDialer)(nil)

// NewStreamDialer returns a dialer that has not connected yet. An address that
// cannot be one is an Invalid error that names the environment variable it comes
// from.
func NewStreamDialer(config StreamConfig) (*StreamDialer, error) {
	address, err := parseStreamURL(cmp.Or(config.URL, DefaultStreamURL))
	if err != nil {
		return nil, err
	}
	config.URL = address.String()
	config.SilentAfter = cmp.Or(config.SilentAfter, usualSilence)
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Pauses == nil {
		config.Pauses = noPauses{}
	}
	return &StreamDialer{
		config: config, host: address.Host,
		pause:     &streamPause{host: address.Host, store: config.Pauses, log: config.Log},
		socket:    (&net.Dialer{Timeout: dialTimeout}).DialContext,
		websocket: websocket.Dialer{Proxy: http.ProxyFromEnvironment, HandshakeTimeout: handshakeTimeout},
	}, nil
}

// parseStreamURL returns the address without a slash at its end.
func parseStreamURL(text string) (*url.URL, error) {
	parsed, err := url.Parse(text)
	switch {
	case err != nil, parsed.Scheme != "wss" && parsed.Scheme != "ws", parsed.Hostname() == "",
		parsed.Path != "" && parsed.Path != "/", parsed.RawQuery != "", parsed.Fragment != "":
		return nil, market.Errorf(market.Invalid, "BINANCE_WS_URL must be a scheme and a host, such as %s", DefaultStreamURL)
	case parsed.User != nil:
		return nil, market.Errorf(market.Invalid, "BINANCE_WS_URL must hold no name and password: errors and logs would show them")
	}
	return &url.URL{Scheme: parsed.Scheme, Host: strings.ToLower(parsed.Host)}, nil
}

// Dial implements live.Dialer. No series, or more than 1024, are an Invalid
// error; events of another origin than the configured one a Conflict; a region
// or an address that the exchange does not serve is Forbidden. Until a pause that
// the host asked for is over, this process or one before it, nothing is sent to
// it; what is returned then is a history.PausedError.
func (d *StreamDialer) Dial(ctx context.Context, series []market.Series) (live.Connection, error) {
	if len(series) == 0 || len(series) > mostStreams {
		return nil, market.Errorf(market.Invalid, "a connection takes 1 to %d streams, not %d", mostStreams, len(series))
	}
	asked := make(askedStreams, len(series))
	names := make([]string, len(series))
	for k, each := range series {
		asked[each] = streamOf(each)
		names[k] = asked[each].name
	}
	if err := d.pause.check(ctx); err != nil {
		return nil, fmt.Errorf("connecting to the exchange's streams: %w", err)
	}
	connection, response, err := d.connect(ctx, d.config.URL+"/stream?streams="+strings.Join(names, "/"))
	if errors.Is(err, websocket.ErrBadHandshake) {
		err = d.refusal(ctx, response, len(series))
	} else if err != nil {
		err = unreachable(ctx, d.host, err)
	} else if err = d.checkOrigin(response.Header); err != nil {
		connection.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to the exchange's streams: %w", err)
	}
	return newStreamConnection(connection, d.host, asked, d.config), nil
}

// connect makes the handshake. gorilla/websocket does not look at the context
// while it waits for the answer, so the end of it closes the socket.
func (d *StreamDialer) connect(ctx context.Context, address string) (*websocket.Conn, *http.Response, error) {
	stop := func() bool { return true }
	dialer := d.websocket
	dialer.NetDialContext = func(limited context.Context, network, address string) (net.Conn, error) {
		socket, err := d.socket(limited, network, address)
		if err == nil {
			stop = context.AfterFunc(ctx, func() { socket.Close() })
		}
		return socket, err
	}
	connection, response, err := dialer.DialContext(ctx, address, nil)
	if !stop() && err == nil {
		connection.Close()
		err = context.Cause(ctx)
	}
	return connection, response, err
}

// checkOrigin keeps the prices of a simulated market out of a database of real
// ones, and the other way round.
func (d *StreamDialer) checkOrigin(header http.Header) error {
	origin := history.Real
	if headerValue(header, history.SimulatedHeader) != "" {
		origin = history.Simulated
	}
	if d.config.Origin == "" || d.config.Origin == origin {
		return nil
	}
	return market.Errorf(market.Conflict, "%s streams %s candles where %s ones are wanted: correct BINANCE_WS_URL",
		d.host, origin, d.config.Origin)
}

// refusal says what an answer that opens no stream means and what to do, and
// keeps the pause that it asks for.
func (d *StreamDialer) refusal(ctx context.Context, response *http.Response, streams int) error {
	if pause := demandedPause(response, time.Now()); !pause.Until.IsZero() {
		return pausedError(d.pause.keep(ctx, pause))
	}
	switch response.StatusCode {
	case http.StatusUnavailableForLegalReasons:
		return market.Errorf(market.Forbidden,
			"%s does not serve the region that this machine is in (451): set BINANCE_WS_URL to a host that does; %s serves market data only and is refused to fewer regions",
			d.host, DefaultStreamURL)
	case http.StatusForbidden:
		return market.Errorf(market.Forbidden,
			"the firewall of %s blocks this machine (403): wait some minutes before you try again, or set BINANCE_WS_URL to another host", d.host)
	case http.StatusRequestURITooLong:
		return market.Errorf(market.Invalid, "%s refuses %d streams in one address (414): follow fewer", d.host, streams)
	default:
		return market.Errorf(market.Unavailable,
			"%s answers with status %d and opens no stream: correct BINANCE_WS_URL if that lasts", d.host, response.StatusCode)
	}
}
