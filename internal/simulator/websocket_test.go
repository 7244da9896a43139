package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/adshao/go-binance/v2"
	"github.com/gorilla/websocket"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// candleOf reads the candle of an event.
func candleOf(t *testing.T, event *binance.WsKlineEvent) market.Candle {
	t.Helper()
	k := event.Kline
	return fromWire(t, market.Interval(k.Interval), &binance.Kline{
		OpenTime: k.StartTime, Open: k.Open, High: k.High, Low: k.Low, Close: k.Close, Volume: k.Volume,
		QuoteAssetVolume: k.QuoteVolume, TradeNum: k.TradeNum,
		TakerBuyBaseAssetVolume: k.ActiveBuyVolume, TakerBuyQuoteAssetVolume: k.ActiveBuyQuoteVolume,
	})
}

// klineEvent decodes an event of a raw stream.
func klineEvent(t *testing.T, text string) *binance.WsKlineEvent {
	t.Helper()
	var event binance.WsKlineEvent
	if err := json.Unmarshal([]byte(text), &event); err != nil || event.Event != "kline" {
		t.Fatalf("%s: %v", text, err)
	}
	return &event
}

var btc1m = market.Series{Symbol: "BTCUSDT", Interval: market.Minute1}

func TestAStreamFollowsItsCandlesToTheClose(t *testing.T) {
	e := open(t, Config{})
	session := e.dial(t, "/ws/btcusdt@kline_1m")
	next := func(final bool, want market.Candle, wanted bool) {
		t.Helper()
		event := klineEvent(t, read(t, session))
		if got := candleOf(t, event); !wanted || got != want || event.Kline.IsFinal != final {
			t.Fatalf("%+v, want %t %+v", event, final, want)
		}
		if event.Time != e.clock.Now().UnixMilli() || event.Symbol != "BTCUSDT" || event.Kline.EndTime != event.Kline.StartTime+59_999 {
			t.Fatalf("%+v", event)
		}
		if trades := event.Kline.LastTradeID - event.Kline.FirstTradeID + 1; trades != event.Kline.TradeNum {
			t.Fatalf("%d trade ids of %d trades", trades, event.Kline.TradeNum)
		}
	}
	closed := func(at string) (bool, market.Candle, bool) {
		candle, traded := e.source.closed(btc1m, date(at))
		return true, candle, traded
	}
	stands := func() (bool, market.Candle, bool) {
		candle, traded := e.source.OpenCandle(btc1m, e.clock.Now())
		return false, candle, traded
	}
	next(stands())
	e.clock.Add(10 * time.Second)
	next(stands())
	e.clock.Set(date("2024-05-17T12:20:59.999Z"))
	next(stands())
	e.clock.Set(date("2024-05-17T12:21:01Z"))
	next(closed("2024-05-17T12:20:00Z"))
	next(stands())
	e.clock.Set(date("2024-05-17T12:23:30Z")) // a leap over two closes
	next(closed("2024-05-17T12:21:00Z"))
	next(closed("2024-05-17T12:22:00Z"))
	next(stands())
	e.clock.Set(date("2024-05-17T12:22:30Z")) // what has closed stays closed
	e.clock.Set(date("2024-05-17T12:24:00Z"))
	next(closed("2024-05-17T12:23:00Z"))
}

// The real clock, so that a candle closes on time although pushes are far apart.
func TestTheFinalEventComesRightAfterTheClose(t *testing.T) {
	started := time.Now()
	offset := market.Minute1.Next(market.Minute1.Floor(startsAt)).Add(-1300 * time.Millisecond).Sub(started)
	now := func() time.Time { return time.Now().Add(offset) }
	e := open(t, Config{Now: now, Streams: StreamTiming{PushEvery: time.Second}})
	session := e.dial(t, "/ws/btcusdt@kline_1m")
	for {
		event := klineEvent(t, read(t, session))
		if !event.Kline.IsFinal {
			continue
		}
		if late := event.Time - event.Kline.EndTime; late < 1 || late > 500 {
			t.Errorf("%d ms after the close", late)
		}
		return
	}
}

func TestGoBinanceFollowsTheStreams(t *testing.T) {
	e := open(t, Config{})
	raw, combined := binance.BaseWsMainURL, binance.BaseCombinedMainURL
	address := "ws" + e.url[len("http"):]
	binance.BaseWsMainURL, binance.BaseCombinedMainURL = address+"/ws", address+"/stream?streams="
	defer func() { binance.BaseWsMainURL, binance.BaseCombinedMainURL = raw, combined }()

	events := make(chan *binance.WsKlineEvent, 1000)
	handle := func(event *binance.WsKlineEvent) { events <- event }
	fail := func(err error) { t.Error(err) }

	done, stop, err := binance.WsKlineServe("BTCUSDT", "15m", handle, fail)
	if err != nil {
		t.Fatal(err)
	}
	series := market.Series{Symbol: "BTCUSDT", Interval: market.Minute15}
	if want, _ := e.source.OpenCandle(series, startsAt); candleOf(t, <-events) != want {
		t.Errorf("want %+v", want)
	}
	close(stop)
	<-done

	done, stop, err = binance.WsCombinedKlineServe(map[string]string{"BTCUSDT": "15m", "ETHUSDT": "1h"}, handle, fail)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		event := <-events
		series := market.Series{Symbol: market.Symbol(event.Symbol), Interval: market.Interval(event.Kline.Interval)}
		if want, _ := e.source.OpenCandle(series, startsAt); candleOf(t, event) != want {
			t.Errorf("%+v, want %+v", event, want)
		}
	}
	close(stop)
	<-done
}

func TestSubscriptions(t *testing.T) {
	e := open(t, Config{})
	session := e.dial(t, "/ws")
	for _, step := range []struct{ request, reply string }{
		{`{"method":"LIST_SUBSCRIPTIONS","id":1}`, `{"id":1,"result":[]}`},
		{`{"method":"SUBSCRIBE","params":["dogeusdt@kline_1m","BTCUSDT@kline_1m","btcusdt@kline_2m","btcusdt@depth"],"id":"a"}`, `{"id":"a","result":null}`},
		{`{"method":"UNSUBSCRIBE","params":["btcusdt@depth","btcusdt@kline_2m","nothing"],"id":null}`, `{"id":null,"result":null}`},
		{`{"method":"LIST_SUBSCRIPTIONS","id":3}`, `{"id":3,"result":["dogeusdt@kline_1m","BTCUSDT@kline_1m"]}`},
		{`{"method":"SUBSCRIBE","params":["btcusdt@kline_1m"],"id":4}`, `{"id":4,"result":null}`},
	} {
		if err := session.WriteMessage(websocket.TextMessage, []byte(step.request)); err != nil {
			t.Fatal(err)
		}
		if reply := read(t, session); reply != step.reply {
			t.Errorf("%s: %s, want %s", step.request, reply, step.reply)
		}
	}
	klineEvent(t, read(t, session))

	session = e.dial(t, "/stream")
	for _, step := range []struct{ request, reply string }{
		{`{"method":"ORDER","id":1}`, "{\"code\":2,\"msg\":\"Invalid request: unknown variant `ORDER`, expected one of `SUBSCRIBE`"},
		{`{"method":"SUBSCRIBE"}`, `{"code":2,"msg":"Invalid request: request ID`},
		{`{"id":1}`, "{\"code\":2,\"msg\":\"Invalid request: missing field `method`"},
		{`{"method":"SUBSCRIBE","params":[true],"id":1}`, `{"code":2,"msg":"Invalid request: invalid type`},
		{`{"method"`, `{"code":3,"msg":"Invalid JSON`},
	} {
		if err := session.WriteMessage(websocket.TextMessage, []byte(step.request)); err != nil {
			t.Fatal(err)
		}
		if reply := read(t, session); !strings.HasPrefix(reply, step.reply) {
			t.Errorf("%s: %s, want %s", step.request, reply, step.reply)
		}
	}

	session = e.dial(t, "/stream?streams=ethusdt@kline_1d/btcusdt@kline_1M")
	for range 2 {
		var combined struct {
			Stream string
			Data   binance.WsKlineEvent
		}
		if err := json.Unmarshal([]byte(read(t, session)), &combined); err != nil {
			t.Fatal(err)
		}
		if name := fmt.Sprintf("%s@kline_%s", strings.ToLower(combined.Data.Symbol), combined.Data.Kline.Interval); name != combined.Stream {
			t.Errorf("%s in %s", name, combined.Stream)
		}
	}
}

func TestStreamsThatNobodyListensToAreForgotten(t *testing.T) {
	e := open(t, Config{})
	session := e.dial(t, "/ws/btcusdt@kline_1m/ethusdt@kline_1m")
	read(t, session)
	request := []byte(`{"method":"UNSUBSCRIBE","params":["btcusdt@kline_1m"],"id":1}`)
	if err := session.WriteMessage(websocket.TextMessage, request); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(read(t, session), `"result"`) {
	}
	e.hub.mu.Lock()
	if len(e.hub.streams) != 1 {
		t.Errorf("%d streams", len(e.hub.streams))
	}
	e.hub.mu.Unlock()
	session.Close()
	e.Server.Close() // waits for the session
	if len(e.hub.streams) != 0 {
		t.Errorf("%d streams without a listener", len(e.hub.streams))
	}
}

// closeCode reads until the session ends and returns how it did.
func closeCode(t *testing.T, session *websocket.Conn) int {
	t.Helper()
	for {
		_, _, err := session.ReadMessage()
		if closing, ok := errors.AsType[*websocket.CloseError](err); ok {
			return closing.Code
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestPingsAreSentAndPongsExpected(t *testing.T) {
	e := open(t, Config{Streams: StreamTiming{PingEvery: 210 * time.Millisecond, PongWithin: 500 * time.Millisecond}})
	answering := e.dial(t, "/ws/btcusdt@kline_1m")
	pings := 0
	answer := answering.PingHandler()
	answering.SetPingHandler(func(payload string) error {
		if milliseconds, err := strconv.ParseInt(payload, 10, 64); err != nil || milliseconds != startsAt.UnixMilli() {
			t.Errorf("payload %q", payload)
		}
		if pings++; pings == 4 { // well past the time for a pong
			return errors.New("enough")
		}
		return answer(payload)
	})
	if _, _, err := answering.ReadMessage(); err != nil { // the first event
		t.Fatal(err)
	}
	if _, _, err := answering.ReadMessage(); err == nil || err.Error() != "enough" {
		t.Errorf("a session that answers pings ended with %v", err)
	}

	for _, pong := range []func(string) error{
		func(string) error { return nil },
		nil, // an empty one, set below
	} {
		mute := e.dial(t, "/ws")
		if pong == nil {
			pong = func(string) error {
				return mute.WriteControl(websocket.PongMessage, nil, time.Now().Add(time.Second))
			}
		}
		mute.SetPingHandler(pong)
		if code := closeCode(t, mute); code != websocket.ClosePolicyViolation {
			t.Errorf("a session without pongs ended with %d", code)
		}
	}
}

func TestClientsPingsAreAnswered(t *testing.T) {
	e := open(t, Config{})
	session := e.dial(t, "/ws/btcusdt@kline_1m")
	session.SetPongHandler(func(payload string) error { return errors.New(payload) })
	if err := session.WriteControl(websocket.PingMessage, []byte("hello"), time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	for {
		if _, _, err := session.ReadMessage(); err != nil {
			if err.Error() != "hello" {
				t.Error(err)
			}
			return
		}
	}
}

func TestASessionEndsAtItsAge(t *testing.T) {
	e := open(t, Config{Streams: StreamTiming{SessionAge: 50 * time.Millisecond}})
	if code := closeCode(t, e.dial(t, "/ws/btcusdt@kline_1m")); code != websocket.CloseGoingAway {
		t.Errorf("ended with %d", code)
	}
}

func TestTooManyMessagesEndASession(t *testing.T) {
	e := open(t, Config{})
	session := e.dial(t, "/ws")
	for k := range messagesPerSecond + 1 {
		var err error
		if k%2 == 0 {
			err = session.WriteMessage(websocket.TextMessage, []byte(`{"method":"LIST_SUBSCRIPTIONS","id":1}`))
		} else {
			err = session.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if code := closeCode(t, session); code != websocket.ClosePolicyViolation {
		t.Errorf("ended with %d", code)
	}
}

func TestTooManyStreamsEndASession(t *testing.T) {
	e := open(t, Config{})
	var names strings.Builder
	for k := range mostStreams + 1 {
		fmt.Fprintf(&names, "/p%dusdt@kline_1m", k)
	}
	if code := closeCode(t, e.dial(t, "/ws"+names.String())); code != websocket.ClosePolicyViolation {
		t.Errorf("ended with %d", code)
	}
}

// movingSource has another open candle whenever it is asked.
type movingSource struct {
	*plainSource
	calls atomic.Int64
}

func (m *movingSource) OpenCandle(series market.Series, at time.Time) (market.Candle, bool) {
	candle, traded := m.plainSource.OpenCandle(series, at)
	candle.Volume += float64(m.calls.Add(1))
	return candle, traded
}

func TestASlowReaderIsCutAndStallsNobody(t *testing.T) {
	e := open(t, Config{Source: &movingSource{plainSource: newPlainSource()}, Streams: StreamTiming{PushEvery: time.Hour}})
	const name = "btcusdt@kline_1m"
	const streams = "/ws/" + name
	quick := e.dial(t, streams)
	dialer := websocket.Dialer{NetDial: func(network, address string) (net.Conn, error) {
		connection, err := net.Dial(network, address)
		if err == nil {
			err = connection.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		return connection, err
	}}
	slow, _, err := dialer.Dial("ws"+e.url[len("http"):]+streams, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()

	waitFor(t, func() bool { return e.listeners(name) == 2 })
	// Pushed when the quick one has taken all of the last push, so that it never
	// counts as slow, however slow the machine.
	push := func() {
		e.hub.push()
		read(t, quick)
	}
	var longest time.Duration
	for e.listeners(name) == 2 {
		began := time.Now()
		push()
		longest = max(longest, time.Since(began))
	}
	if longest > writeWait/2 {
		t.Errorf("the quick reader waited %s for a push", longest)
	}
	push()
}

// manySource is a market of many pairs that move with every push.
func manySource(pairs int) *movingSource {
	source := newPlainSource()
	source.pairs = make([]Pair, pairs)
	for k := range pairs {
		base := fmt.Sprintf("C%d", k)
		source.pairs[k] = Pair{Symbol: market.Symbol(base + "USDT"), Base: base, Quote: "USDT", Listed: date("2017-08-17T04:00:00Z")}
	}
	return &movingSource{plainSource: source}
}

// BenchmarkPush500 is one event of each of 500 streams, read by four sessions.
func BenchmarkPush500(b *testing.B) {
	const pairs, sessions = 500, 4
	e := open(b, Config{Source: manySource(pairs), Streams: StreamTiming{PushEvery: time.Hour}})
	streams := "/stream?streams="
	for k := range pairs {
		streams += fmt.Sprintf("c%dusdt@kline_15m/", k)
	}
	read := make(chan struct{}, sessions)
	for range sessions {
		session := e.dial(b, streams)
		session.SetReadDeadline(time.Time{})
		go func() {
			for k := 1; ; k++ {
				if _, _, err := session.ReadMessage(); err != nil {
					return
				}
				if k%pairs == 0 {
					read <- struct{}{}
				}
			}
		}()
	}
	waitFor(b, func() bool { return e.listeners("c499usdt@kline_15m") == sessions })
	b.ResetTimer()
	for b.Loop() {
		e.hub.push()
		for range sessions {
			<-read
		}
	}
	b.ReportMetric(float64(b.N*pairs*sessions)/b.Elapsed().Seconds(), "messages/s")
}
