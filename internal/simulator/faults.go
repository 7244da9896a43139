package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Script says which requests go wrong, and how. The first rule in it whose turn
// it is plays; one that was kept waiting plays as soon as it can.
type Script struct {
	Seed  uint64 `json:"seed"` // of the rules with a probability
	Rules []Rule `json:"rules"`
}

// Rule says which requests of an endpoint are answered with a fault. Only
// requests that pass the rate limit count, from 1 and since the script was set.
type Rule struct {
	On    Endpoint
	Fault Fault
	// Nth is the first request that the rule is for; 0 counts as 1.
	Nth int
	// Every is the step from there, Probability the chance of each request from
	// there on. Where neither is set, the rule is for Count requests in a row.
	Every       int
	Probability float64
	// Count is how often the rule plays at most. 0 is once, or without end where
	// Every or Probability is set.
	Count int

	// Wait, of too_many_requests and banned, is the pause in whole seconds; of
	// slow_headers and slow_body, how long the whole answer takes; of
	// server_shutdown, the time from the event to the close.
	Wait time.Duration
	// Status is that of server_error (5xx), html_page and refused_upgrade (4xx or 5xx).
	Status int
	// Shift is what clock_skew and stale_clock add to the clock; negative for one
	// that is behind.
	Shift time.Duration
	// After is how many events a WebSocket session gets before the fault.
	After int
}

// Endpoint names a part of the exchange.
type Endpoint string

// The parts of the exchange that can fail.
const (
	REST         Endpoint = "rest" // any of the five below
	Ping         Endpoint = "ping"
	Time         Endpoint = "time"
	ExchangeInfo Endpoint = "exchangeInfo"
	Klines       Endpoint = "klines"
	TickerPrice  Endpoint = "ticker/price"
	Coins        Endpoint = "coins" // CoinGecko's markets call
	WebSocket    Endpoint = "websocket"
)

var (
	exchangeParts = []Endpoint{REST, Ping, Time, ExchangeInfo, Klines, TickerPrice}
	httpParts     = append(slices.Clone(exchangeParts), Coins)
)

// Fault is a way in which an exchange fails.
type Fault string

// Faults of any answer.
const (
	TooManyRequests Fault = "too_many_requests" // 429, and it is meant: a request within Wait is a violation
	Blocked         Fault = "blocked"           // 451
	ServerError     Fault = "server_error"
	HTMLPage        Fault = "html_page"
	SlowHeaders     Fault = "slow_headers"
	SlowBody        Fault = "slow_body"        // trickles
	CutBody         Fault = "cut_body"         // half of what Content-Length announces
	CutChunkedBody  Fault = "cut_chunked_body" // without the last chunk
	ConnectionReset Fault = "connection_reset" // instead of an answer
	WrongJSON       Fault = "wrong_json"       // half of the JSON, in a whole answer
)

// Faults of any answer of Binance's.
const (
	Banned    Fault = "banned"     // 418 for Wait
	ClockSkew Fault = "clock_skew" // from this request on the exchange's clock is off by Shift
)

// Faults of a page of klines. One that a page has too few candles for waits for
// another page.
const (
	ObjectForArray    Fault = "object_for_array"
	EmptyNumber       Fault = "empty_number"      // "" for a price
	NumberForString   Fault = "number_for_string" // a bare price
	StringForNumber   Fault = "string_for_number" // a quoted open time
	ShortRow          Fault = "short_row"
	EmptyPage         Fault = "empty_page"
	DuplicatedCandle  Fault = "duplicated_candle"
	DisorderedCandles Fault = "disordered_candles"
	CandleOffRange    Fault = "candle_off_range" // one before the start that was asked for
	CandleOffGrid     Fault = "candle_off_grid"
	RevisedCandle     Fault = "revised_candle" // a closed one with other values than in any other answer
)

// Faults of a WebSocket session.
const (
	RefusedUpgrade   Fault = "refused_upgrade"
	SilentSocket     Fault = "silent_socket"  // stays open and says nothing, not even pings and pongs
	DroppedSocket    Fault = "dropped_socket" // closed without a close frame
	HalfFrame        Fault = "half_frame"     // the same, in the middle of an event
	DuplicatedEvents Fault = "duplicated_events"
	DisorderedEvents Fault = "disordered_events" // of each stream, every two the wrong way round
	ServerShutdown   Fault = "server_shutdown"   // the event of that name, and after Wait the end
	StaleClock       Fault = "stale_clock"       // event times off by Shift
)

// faultForm says where a fault may be played and what it must be told.
type faultForm struct {
	on           []Endpoint
	wait         bool
	leastStatus  int // 0 where it takes none; most is 599
	shift        bool
	after        bool
	optionalWait bool
}

var (
	ofPage    = faultForm{on: []Endpoint{Klines}}
	ofSession = faultForm{on: []Endpoint{WebSocket}, after: true}
)

var faultForms = map[Fault]faultForm{
	TooManyRequests: {on: httpParts, wait: true},
	Blocked:         {on: httpParts},
	ServerError:     {on: httpParts, leastStatus: 500},
	HTMLPage:        {on: httpParts, leastStatus: 400},
	SlowHeaders:     {on: httpParts, wait: true},
	SlowBody:        {on: httpParts, wait: true},
	CutBody:         {on: httpParts},
	CutChunkedBody:  {on: httpParts},
	ConnectionReset: {on: httpParts},
	WrongJSON:       {on: httpParts},

	Banned:    {on: exchangeParts, wait: true},
	ClockSkew: {on: exchangeParts, shift: true},

	ObjectForArray: ofPage, EmptyNumber: ofPage, NumberForString: ofPage, StringForNumber: ofPage, ShortRow: ofPage,
	EmptyPage: ofPage, DuplicatedCandle: ofPage, DisorderedCandles: ofPage,
	CandleOffRange: ofPage, CandleOffGrid: ofPage, RevisedCandle: ofPage,

	RefusedUpgrade: {on: []Endpoint{WebSocket}, leastStatus: 400},
	SilentSocket:   ofSession, DroppedSocket: ofSession, HalfFrame: ofSession,
	DuplicatedEvents: ofSession, DisorderedEvents: ofSession,
	ServerShutdown: {on: []Endpoint{WebSocket}, after: true, optionalWait: true},
	StaleClock:     {on: []Endpoint{WebSocket}, after: true, shift: true},
}

// Faults returns every fault, in alphabetical order.
func Faults() []Fault { return slices.Sorted(maps.Keys(faultForms)) }

// Validate returns an error that names the first rule which says something that
// cannot be played, and what would be accepted.
func (s Script) Validate() error {
	for k, rule := range s.Rules {
		if err := rule.validate(); err != nil {
			return fmt.Errorf("rule %d of the fault script: %w", k+1, err)
		}
	}
	return nil
}

func (r Rule) validate() error {
	form, known := faultForms[r.Fault]
	switch {
	case !known:
		return fmt.Errorf("fault %q is unknown: use one of %s", r.Fault, join(Faults()))
	case !slices.Contains(form.on, r.On):
		return fmt.Errorf("%s cannot be played on %q: use one of %s", r.Fault, r.On, join(form.on))
	case r.Nth < 0 || r.Every < 0 || r.Count < 0 || r.After < 0:
		return fmt.Errorf("nth %d, every %d, count %d, after %d: none may be negative", r.Nth, r.Every, r.Count, r.After)
	case !(r.Probability >= 0 && r.Probability <= 1):
		return fmt.Errorf("probability %v is not within 0 and 1", r.Probability)
	case r.Every > 0 && r.Probability > 0:
		return fmt.Errorf("every and probability are both set: use one of them")
	case r.Wait < 0:
		return fmt.Errorf("wait %s is negative", r.Wait)
	case form.wait && r.Wait == 0:
		return fmt.Errorf("%s needs a wait, such as 1s", r.Fault)
	case !form.wait && !form.optionalWait && r.Wait != 0:
		return fmt.Errorf("%s takes no wait", r.Fault)
	case (r.Fault == TooManyRequests || r.Fault == Banned) && r.Wait%time.Second != 0:
		return fmt.Errorf("wait %s of %s is not in whole seconds, as Retry-After is", r.Wait, r.Fault)
	case form.leastStatus == 0 && r.Status != 0:
		return fmt.Errorf("%s takes no status", r.Fault)
	case form.leastStatus > 0 && (r.Status < form.leastStatus || r.Status > 599):
		return fmt.Errorf("%s needs a status from %d to 599, not %d", r.Fault, form.leastStatus, r.Status)
	case form.shift && r.Shift == 0 && r.Fault != ClockSkew: // a skew of 0 sets the clock right
		return fmt.Errorf("%s needs a shift, such as -90s", r.Fault)
	case !form.shift && r.Shift != 0:
		return fmt.Errorf("%s takes no shift", r.Fault)
	case !form.after && r.After != 0:
		return fmt.Errorf("%s takes no after", r.Fault)
	}
	return nil
}

func join[T ~string](names []T) string {
	texts := make([]string, len(names))
	for k, name := range names {
		texts[k] = string(name)
	}
	return strings.Join(texts, ", ")
}

// ParseScript reads a script from JSON. Durations are text such as "1.5s"; an
// unknown field is an error, as is what Validate refuses.
func ParseScript(text []byte) (Script, error) {
	var script Script
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&script); err != nil {
		return Script{}, fmt.Errorf("reading the fault script: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return Script{}, fmt.Errorf("reading the fault script: there is more after its end")
	}
	return script, script.Validate()
}

// UnmarshalJSON reads a rule and refuses unknown fields.
func (r *Rule) UnmarshalJSON(text []byte) error {
	var rule struct {
		On          Endpoint `json:"on"`
		Fault       Fault    `json:"fault"`
		Nth         int      `json:"nth"`
		Every       int      `json:"every"`
		Probability float64  `json:"probability"`
		Count       int      `json:"count"`
		Wait        duration `json:"wait"`
		Status      int      `json:"status"`
		Shift       duration `json:"shift"`
		After       int      `json:"after"`
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&rule); err != nil {
		return err
	}
	*r = Rule{
		On: rule.On, Fault: rule.Fault,
		Nth: rule.Nth, Every: rule.Every, Probability: rule.Probability, Count: rule.Count,
		Wait: time.Duration(rule.Wait), Status: rule.Status, Shift: time.Duration(rule.Shift), After: rule.After,
	}
	return nil
}

// duration is one that reads "1.5s".
type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	value, err := time.ParseDuration(string(text))
	*d = duration(value)
	return err
}
