package binance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// askedStreams are the streams of a connection.
type askedStreams map[market.Series]askedStream

type askedStream struct {
	series market.Series
	name   string
}

func streamOf(series market.Series) askedStream {
	return askedStream{series, strings.ToLower(string(series.Symbol)) + "@kline_" + string(series.Interval)}
}

// decodeMessage returns what a message of a stream says and whether that is
// known: other events than klines and the end that the exchange announces are
// not, nor are answers to requests. It takes the combined form, in which an event
// comes with its stream's name, and the bare one. A kline is valid and of a stream
// that was asked for.
func decodeMessage(message []byte, asked askedStreams, received time.Time) (event live.Event, known bool, err error) {
	if !json.Valid(message) {
		return live.Event{}, false, fmt.Errorf("found %s where JSON is expected", quote(string(message)))
	}
	bare := bytes.TrimSpace(message)
	var stream []byte
	var answer bool
	for members := membersOf(bare); members.next(); {
		switch string(members.key) {
		case `"stream"`:
			stream = members.value
		case `"data"`:
			bare = members.value
		case `"result"`:
			answer = true
		}
	}
	var fields fields
	if err := fields.read(bare); err != nil {
		return live.Event{}, false, err
	}
	switch name := fields['e']; {
	case name == nil && answer:
		return live.Event{}, false, nil
	case len(name) == 0 || name[0] != '"':
		return live.Event{}, false, fmt.Errorf("found %s where an event with its name (e) is expected", quote(string(bare)))
	case string(name) == `"serverShutdown"`:
		return live.Event{Shutdown: true}, true, nil
	case string(name) != `"kline"`:
		return live.Event{}, false, nil
	}
	kline, err := decodeKlineEvent(&fields, stream, asked)
	if err != nil {
		return live.Event{}, false, err
	}
	kline.ReceivedAt = received
	return live.Event{Kline: kline}, true, nil
}

// decodeKlineEvent returns the kline of an event that came with that stream
// name, in quotes, or with none.
func decodeKlineEvent(event *fields, stream []byte, asked askedStreams) (live.Kline, error) {
	var values fields
	if err := values.read(event['k']); err != nil {
		return live.Kline{}, err
	}
	symbol, interval := unquoted(values['s']), unquoted(values['i'])
	of, found := asked[market.Series{Symbol: market.Symbol(symbol), Interval: market.Interval(interval)}]
	switch {
	case !found:
		return live.Kline{}, fmt.Errorf("it is of %s %s, which was not asked for", quote(string(symbol)), quote(string(interval)))
	case !bytes.Equal(unquoted(event['s']), symbol), stream != nil && string(unquoted(stream)) != of.name:
		return live.Kline{}, fmt.Errorf("a kline of %s comes in an event of %s on the stream %s",
			of.series, quote(string(event['s'])), quote(string(stream)))
	}
	var p valueParser
	kline := live.Kline{
		Series: of.series,
		Candle: market.Candle{
			OpenTime: p.time(values['t'], "open time"),
			Open:     p.decimal(values['o'], "open"), High: p.decimal(values['h'], "high"),
			Low: p.decimal(values['l'], "low"), Close: p.decimal(values['c'], "close"),
			Volume:              p.decimal(values['v'], "volume"),
			QuoteVolume:         market.Some(p.decimal(values['q'], "quote volume")),
			Trades:              market.Some(p.integer(values['n'], "trades")),
			TakerBuyVolume:      p.optionalDecimal(values['V'], "taker buy volume"),
			TakerBuyQuoteVolume: p.optionalDecimal(values['Q'], "taker buy quote volume"),
			Source:              of.series.Interval,
			Parts:               1,
		},
		Closed:       p.boolean(values['x'], "closed"),
		FirstTradeID: p.tradeID(values['f'], "first trade"),
		LastTradeID:  p.tradeID(values['L'], "last trade"),
		EventTime:    p.time(event['E'], "event time"),
	}
	closes := p.time(values['T'], "close time")
	if p.err != nil {
		return live.Kline{}, p.err
	}
	if err := checkTimes(kline, closes); err != nil {
		return live.Kline{}, err
	}
	if first, last := kline.FirstTradeID, kline.LastTradeID; first.Valid != last.Valid || first.Value > last.Value {
		return live.Kline{}, fmt.Errorf("first trade %s does not fit last trade %s", quote(string(values['f'])), quote(string(values['L'])))
	}
	return kline, kline.Candle.Validate()
}

// eventTimeSlack is how far outside its candle an event may be dated: clocks of
// the exchange's machines have been wrong by minutes, and where trading is halted
// the last word on a candle comes hours late. What is further off is no clock's
// mistake.
const eventTimeSlack = 24 * time.Hour

// checkTimes refuses a close time outside the candle, and an event that is dated
// as nothing said of the candle can be. No price or volume follows from that
// date, so a clock that is merely wrong costs no connection.
func checkTimes(kline live.Kline, closes time.Time) error {
	open := kline.Candle.OpenTime
	next := kline.Interval.Next(open)
	switch {
	case closes.Before(open) || !closes.Before(next):
		return fmt.Errorf("close time %s does not fit a candle of %s that opens at %s", instant(closes), kline.Interval, instant(open))
	case kline.EventTime.Before(open.Add(-eventTimeSlack)), kline.EventTime.After(next.Add(eventTimeSlack)):
		return fmt.Errorf("event time %s is more than %s away from the candle that opens at %s",
			instant(kline.EventTime), eventTimeSlack, instant(open))
	}
	return nil
}

// fields holds the values of a JSON object by name, of those whose name is one
// letter, as all are that events and klines have; nil where there is none.
type fields ['z' + 1][]byte

// read fills fields with the members of an object.
func (f *fields) read(object []byte) error {
	if len(object) == 0 || object[0] != '{' {
		return fmt.Errorf("found %s where an object is expected", quote(string(object)))
	}
	for members := membersOf(object); members.next(); {
		name := members.key
		if len(name) != len(`"e"`) || int(name[1]) >= len(f) {
			continue // unknown fields may be added at any time
		}
		if f[name[1]] != nil {
			return fmt.Errorf("the field %c is there twice", name[1])
		}
		f[name[1]] = members.value
	}
	return nil
}

// valueParser turns JSON values, nil where there is none, into ours and keeps the
// first error.
type valueParser struct{ err error }

func (p *valueParser) fail(value []byte, name, form string) {
	if p.err == nil {
		p.err = fmt.Errorf("%s is %s where %s is expected", name, quote(string(value)), form)
	}
}

// time takes milliseconds since 1970, and microseconds, which the exchange sends
// on demand.
func (p *valueParser) time(value []byte, name string) time.Time {
	instant, err := parseTime(value)
	if err != nil {
		p.fail(value, name, "a time in milliseconds since 1970")
	}
	return instant
}

func (p *valueParser) decimal(value []byte, name string) float64 {
	number, err := parseNumber(unquoted(value))
	if err != nil {
		p.fail(value, name, "a decimal in a string")
	}
	return number
}

func (p *valueParser) optionalDecimal(value []byte, name string) market.Optional[float64] {
	if value == nil {
		return market.Optional[float64]{} // not published: absent, not zero
	}
	return market.Some(p.decimal(value, name))
}

func (p *valueParser) integer(value []byte, name string) int64 {
	number, err := strconv.ParseUint(string(value), 10, 63)
	if err != nil {
		p.fail(value, name, "a whole number")
	}
	return int64(number)
}

// tradeID takes -1 for none: a candle without trades has it.
func (p *valueParser) tradeID(value []byte, name string) market.Optional[int64] {
	if value == nil || string(value) == "-1" {
		return market.Optional[int64]{}
	}
	return market.Some(p.integer(value, name))
}

func (p *valueParser) boolean(value []byte, name string) bool {
	yes := string(value) == "true"
	if !yes && string(value) != "false" {
		p.fail(value, name, "true or false")
	}
	return yes
}
