package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

const (
	// mostStreams bounds the connections that streams keep.
	mostStreams = 2000
	// mostStreamsOfClient bounds those that one client keeps: enough for the
	// people of an office behind one address, and a small part of all.
	mostStreamsOfClient = 100
	// heartbeatEvery is how long a stream is silent at most. Proxies commonly cut
	// a connection after a minute without a byte.
	heartbeatEvery = 15 * time.Second
	// slowest is how long a reader may take for what is written to it.
	slowest = 10 * time.Second
)

type streamInput struct {
	client      string       // as clientOf tells; no parameter
	Symbols     []symbolName `query:"symbols" maxItems:"100" doc:"Symbols to follow, joined by commas; without it, all."`
	After       uint64       `query:"last_event_id" doc:"As Last-Event-ID, for whoever cannot set a header. The header takes precedence."`
	LastEventID uint64       `header:"Last-Event-ID" doc:"The id of the last event that was received, which browsers send when they connect again: the stream begins with what is newer."`
}

// Resolve notes who asks, for Huma.
func (i *streamInput) Resolve(ctx huma.Context) []error {
	i.client = clientOf(ctx.RemoteAddr())
	return nil
}

// heartbeatEvent is the data of a heartbeat event.
type heartbeatEvent struct {
	Time   time.Time `json:"time" doc:"Now, by the service's clock, which received_at is told by."`
	Origin *origin   `json:"origin"`
}

// missedEvent is the data of a missed event.
type missedEvent struct {
	Candles int `json:"candles" doc:"How many closed candles the stream has left out, at most: list them."`
}

const streamDescription = `Server-sent events, beginning with the newest price and forecast of each symbol:

- ` + "`price`" + `: the open candle has moved.
- ` + "`candle`" + `: a candle has closed, as list-candles shows it.
- ` + "`forecast`" + `: of the open candle, as get-forecast shows it.
- ` + "`missed`" + `: closed candles were left out, because the reader was away or slow for too long.
- ` + "`heartbeat`" + `: at the start and every 15 seconds.

A slow reader gets the newest price and forecast instead of all of them; one that does not take what is written within 10 seconds is cut off. ` +
	"The `id` of price, candle and forecast ascends, also over restarts of the service. With Last-Event-ID, or last_event_id, the stream begins with what is newer: the newest price and forecast of each symbol, unless they were received before, and the candles that have closed since, as far as the running service remembers them: up to 256 of each symbol. " +
	"Whoever connects again after a restart lists the candles in between. " +
	"One address (of IPv6, one network of 64 bits) may keep 100 streams open."

// streams serves the stream to many readers.
type streams struct {
	live     Live
	history  History
	now      func() time.Time
	stopping <-chan struct{}
	places   chan struct{} // holds an element for each open stream
	clients  *streamClients
	origin   *knownOrigin
}

func registerStream(api huma.API, s streams) {
	s.clients, s.origin = new(streamClients), &knownOrigin{history: s.history}
	register(api, huma.Operation{
		OperationID: "stream", Method: http.MethodGet, Path: streamPath, Tags: []string{"market"}, Security: open,
		Summary: "Follow the market", Description: streamDescription,
		Responses: map[string]*huma.Response{"200": {
			Description: "The events, until either side ends the connection.",
			Content: map[string]*huma.MediaType{eventsType: {Schema: &huma.Schema{
				Type: huma.TypeArray, Description: "One object for each event, which is sent as its fields in lines of text.",
				Items: &huma.Schema{OneOf: []*huma.Schema{
					eventSchema[priceEvent](api, "price", true), eventSchema[candleEvent](api, "candle", true),
					eventSchema[forecastAnswer](api, "forecast", true), eventSchema[missedEvent](api, "missed", false),
					eventSchema[heartbeatEvent](api, "heartbeat", false),
				}},
			}}},
		}},
		Errors: []int{http.StatusNotFound, http.StatusTooManyRequests},
	}, s.begin)
}

const (
	streamPath = "/v1/stream"
	eventsType = "text/event-stream"
)

// eventSchema documents an event and its data.
func eventSchema[T any](api huma.API, name string, hasID bool) *huma.Schema {
	schema := &huma.Schema{
		Type: huma.TypeObject, Title: name, Required: []string{"event", "data"},
		Properties: map[string]*huma.Schema{
			"event": {Type: huma.TypeString, Enum: []any{name}},
			"data":  api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, ""),
		},
	}
	if hasID {
		schema.Required = append(schema.Required, "id")
		schema.Properties["id"] = &huma.Schema{Type: huma.TypeInteger, Format: "int64"}
	}
	return schema
}

// begin checks what is asked for and takes a place among the streams, which the
// body gives back.
func (s streams) begin(ctx context.Context, input *streamInput) (*huma.StreamResponse, error) {
	from, err := s.origin.get(ctx)
	if err != nil {
		return nil, err
	}
	if s.live == nil {
		return nil, market.Errorf(market.Unavailable, "this service does not follow the market: it was started without its stream")
	}
	var symbols []market.Symbol
	for _, name := range input.Symbols {
		symbol, err := market.ParseSymbol(string(name))
		if err != nil {
			return nil, err
		}
		if err := s.know(ctx, symbol); err != nil {
			return nil, err
		}
		symbols = append(symbols, symbol)
	}
	after := input.LastEventID
	if after == 0 {
		after = input.After
	}
	if !s.clients.enter(input.client) {
		return nil, newProblem(ctx, http.StatusTooManyRequests, fmt.Sprintf(
			"%d streams to your address are open, and there cannot be more: end one, or follow several symbols in one stream", mostStreamsOfClient))
	}
	select {
	case s.places <- struct{}{}:
	default:
		s.clients.leave(input.client)
		return nil, market.Errorf(market.Unavailable, "%d streams are open, and there cannot be more: try again later", cap(s.places))
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer func() {
			<-s.places
			s.clients.leave(input.client)
		}()
		r, w := humago.Unwrap(ctx)
		header := w.Header()
		header.Set("Content-Type", eventsType)
		header.Set("Cache-Control", "no-store")
		header.Set("X-Accel-Buffering", "no") // nginx would wait for more
		if r.Method == http.MethodHead {
			return
		}
		keepLittleUnsent(r.Context())
		subscription := s.live.Subscribe(after, symbols...)
		defer subscription.Close()
		// Any other error says that the reader has left.
		if err := s.write(r.Context(), w, subscription, from); errors.Is(err, os.ErrDeadlineExceeded) {
			logger(r.Context()).Info("stream cut off: its reader did not take what was written", "within", slowest)
		}
	}}, nil
}

// know returns a NotFound error for a symbol that is neither streamed nor stored.
// The database is asked only where the stream cannot tell, so that the market
// can be followed without it.
func (s streams) know(ctx context.Context, symbol market.Symbol) error {
	if s.live.Newest(symbol) != nil {
		return nil
	}
	stored, err := s.history.Catalogue(ctx)
	if err != nil {
		return fmt.Errorf("looking up the symbols of a stream: %w", err)
	}
	if !slices.Contains(stored.Symbols(), symbol) {
		return unknownSymbol(stored, symbol)
	}
	return nil
}

// write writes what is new until the service stops or the reader leaves or is
// too slow, which a write fails at.
func (s streams) write(ctx context.Context, w http.ResponseWriter, subscription *live.Subscription, from *origin) error {
	controller := http.NewResponseController(w)
	// The server bounds the time of a request, from its first byte to its answer's
	// last; this one has no end.
	if err := controller.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	heartbeats := time.NewTicker(heartbeatEvery)
	defer heartbeats.Stop()
	// So that they do not all come back at the same moment.
	events := fmt.Appendf(nil, "retry: %d\n", 1000+rand.IntN(2000))
	events = appendEvent(events, "heartbeat", heartbeatEvent{s.now().UTC(), from})
	for {
		if len(events) > 0 {
			if err := controller.SetWriteDeadline(time.Now().Add(slowest)); err != nil {
				return err
			}
			if _, err := w.Write(events); err != nil {
				return err
			}
			if err := controller.Flush(); err != nil {
				return err
			}
		}
		events = events[:0]
		select {
		case <-ctx.Done():
			return nil
		case <-s.stopping:
			return nil
		case <-heartbeats.C:
			events = appendEvent(events, "heartbeat", heartbeatEvent{s.now().UTC(), from})
		case <-subscription.Ready():
			updates, missed := subscription.Take()
			if missed > 0 {
				events = appendEvent(events, "missed", missedEvent{missed})
			}
			for _, u := range updates {
				events = append(events, u.Frame...)
			}
		}
	}
}

// appendEvent appends an event without an id, whose data has no number that JSON
// cannot hold.
func appendEvent[T heartbeatEvent | missedEvent](b []byte, name string, data T) []byte {
	encoded, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	return fmt.Appendf(b, "event: %s\ndata: %s\n\n", name, encoded)
}
