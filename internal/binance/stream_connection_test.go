package binance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cryptoboat/cryptoboat/internal/live"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// pipeDialer returns a dialer whose sockets are pipes to serve, so that time may
// be that of a bubble.
func pipeDialer(t *testing.T, config StreamConfig, serve func(net.Conn)) *StreamDialer {
	config.URL = "ws://127.0.0.1" // for which no proxy is asked
	dialer := newStreamDialer(t, config)
	dialer.socket = func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go serve(theirs)
		return ours, nil
	}
	return dialer
}

// discard takes all and answers nothing.
func discard(socket net.Conn) {
	io.Copy(io.Discard, socket)
	socket.Close()
}

// dialPipe returns a connection to serve.
func dialPipe(t *testing.T, config StreamConfig, serve func(*websocket.Conn)) live.Connection {
	t.Helper()
	dialer := pipeDialer(t, config, func(socket net.Conn) {
		served := make(chan struct{})
		upgrade := streaming(t, nil, serve)
		server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(served)
			upgrade(w, r)
		})}
		listener := &pipeListener{socket: socket, closed: make(chan struct{})}
		go server.Serve(listener)
		<-served
		server.Close()
	})
	connection, err := dialer.Dial(t.Context(), []market.Series{btc15m})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

// pipeListener accepts one socket.
type pipeListener struct {
	socket net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	if socket := l.socket; socket != nil {
		l.socket = nil
		return socket, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *pipeListener) Close() error {
	close(l.closed)
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func sendText(t *testing.T, connection *websocket.Conn, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := connection.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Error(err)
		}
	}
}

func TestNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		config := StreamConfig{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
		connection := dialPipe(t, config, func(server *websocket.Conn) {
			sendText(t, server,
				`{"result":null,"id":1}`, openKline,
				`{"stream":"btcusdt@miniTicker","data":{"e":"24hrMiniTicker","s":"BTCUSDT"}}`,
				`{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}`,
				openKline)
			untilGone(server)
		})
		open := wantOpenKline()
		open.ReceivedAt = time.Now().UTC()
		for k, want := range []live.Event{{Kline: open}, {Shutdown: true}, {Kline: open}} {
			event, err := connection.Next(t.Context())
			event.Kline.ReceivedAt = event.Kline.ReceivedAt.Round(0)
			want.Kline.ReceivedAt = want.Kline.ReceivedAt.Round(0)
			if err != nil || event != want {
				t.Errorf("event %d: %+v, %v", k, event, err)
			}
		}
		if got := log.String(); !strings.Contains(got, "skipped=1") || !strings.Contains(got, "skipped=2") || !strings.Contains(got, "miniTicker") {
			t.Errorf("logged %s", got)
		}
	})
}

// TestPings sends nothing but pings, and then pongs, for longer than a silence may
// last, and wants every ping answered with what it holds.
func TestPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const every, times = 20 * time.Second, 30
		var pongs []string
		connection := dialPipe(t, StreamConfig{}, func(server *websocket.Conn) {
			server.SetPongHandler(func(payload string) error {
				pongs = append(pongs, payload)
				return nil
			})
			go untilGone(server)
			for _, kind := range []int{websocket.PingMessage, websocket.PongMessage} {
				for k := range times {
					<-time.After(every)
					if err := server.WriteControl(kind, fmt.Append(nil, k), time.Now().Add(time.Second)); err != nil {
						t.Error(err)
					}
				}
			}
			sendText(t, server, openKline)
		})
		began := time.Now()
		if _, err := connection.Next(t.Context()); err != nil || time.Since(began) != 2*times*every {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		connection.Close()
		synctest.Wait()
		if len(pongs) != times || pongs[0] != "0" || pongs[times-1] != fmt.Sprint(times-1) {
			t.Errorf("%d pongs: %q", len(pongs), pongs)
		}
	})
}

func TestConnectionEnds(t *testing.T) {
	for _, test := range []struct {
		name   string
		config StreamConfig
		serve  func(t *testing.T, server *websocket.Conn)
		after  time.Duration
		says   string
	}{
		{"silence", StreamConfig{}, func(*testing.T, *websocket.Conn) {}, 90 * time.Second, "nothing came from 127.0.0.1 for 1m30s, not even a ping"},
		{"silence, as configured", StreamConfig{SilentAfter: time.Second}, func(*testing.T, *websocket.Conn) {}, time.Second, "for 1s, not even a ping"},
		{"a message that trickles", StreamConfig{}, func(_ *testing.T, server *websocket.Conn) {
			text := append([]byte{0x81, 100}, bytes.Repeat([]byte(" "), 100)...) // announces its 100 bytes
			for {
				if _, err := server.NetConn().Write(text[:1]); err != nil {
					return
				}
				text = text[1:]
				<-time.After(10 * time.Second)
			}
		}, 90 * time.Second, "for 1m30s"},
		{"an oversized message", StreamConfig{}, func(_ *testing.T, server *websocket.Conn) {
			go server.WriteMessage(websocket.TextMessage, bytes.Repeat([]byte(" "), maxMessage+1))
		}, 0, "sent a message of more than 65536 bytes"},
		{"half a frame", StreamConfig{}, func(_ *testing.T, server *websocket.Conn) {
			server.NetConn().Write(append([]byte{0x81, 126, 1, 100}, openKline[:100]...)) // announces 356 bytes
			server.NetConn().Close()
		}, 0, "the connection to 127.0.0.1 broke: "},
		{"a lost connection", StreamConfig{}, func(_ *testing.T, server *websocket.Conn) {
			server.NetConn().Close()
		}, 0, "the connection to 127.0.0.1 broke: "},
		{"a close frame", StreamConfig{}, func(_ *testing.T, server *websocket.Conn) {
			text := websocket.FormatCloseMessage(websocket.CloseGoingAway, "going\ndown")
			server.WriteControl(websocket.CloseMessage, text, time.Now().Add(time.Second))
		}, 0, `127.0.0.1 closed the connection (1001, "going\ndown")`},
		{"a binary message", StreamConfig{}, func(_ *testing.T, server *websocket.Conn) {
			server.WriteMessage(websocket.BinaryMessage, []byte(openKline))
		}, 0, "a message is not text"},
		{"a reserved kind of frame", StreamConfig{}, func(_ *testing.T, server *websocket.Conn) {
			server.NetConn().Write([]byte{0x83, 0})
		}, 0, "bad opcode 3"},
		{"pings that nobody can answer", StreamConfig{}, func(_ *testing.T, server *websocket.Conn) {
			server.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second))
			<-time.After(2 * controlTimeout) // in which the pong finds no reader
		}, controlTimeout, "a pong could not be sent"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				connection := dialPipe(t, test.config, func(server *websocket.Conn) {
					test.serve(t, server)
					untilGone(server)
				})
				began := time.Now()
				event, err := connection.Next(t.Context())
				if market.ErrorCode(err) != market.Unavailable || !strings.Contains(err.Error(), test.says) || event != (live.Event{}) {
					t.Errorf("%+v, %v", event, err)
				}
				if passed := time.Since(began); passed != test.after {
					t.Errorf("after %s, want %s", passed, test.after)
				}
			})
		})
	}
}

// TestMalformedMessagesAreSkippedUpToABound wants one bad message to cost nothing
// else, and a server that sends them all the time to be left.
func TestMalformedMessagesAreSkippedUpToABound(t *testing.T) {
	bad, other := openKline[:100], strings.NewReplacer("BTC", "ETH", "btc", "eth").Replace(openKline)
	const unknown = `{"e":"news"}`
	for _, test := range []struct {
		name     string
		messages []string // one every pause
		pause    time.Duration
		want     string // of each event m or k, and ! at the end of the connection
		says     string
	}{
		{"one", []string{openKline, bad, openKline}, time.Second, "kmk", ""},
		{"three in a row", []string{openKline, bad, bad, bad, openKline}, time.Second, "kmm!", "127.0.0.1 sent too many messages that are malformed: found"},
		{"three in an hour", []string{bad, bad, bad}, 20 * time.Minute, "mm!", "too many"},
		{"of another series", []string{other, other, other}, time.Second, "mm!", `it is of "ETHUSDT" "15m", which was not asked for`},
		{"with others between", []string{bad, bad, openKline, bad, bad, unknown, bad, bad, openKline}, time.Second, "mmkmmmmk", ""},
		{"ten in a minute", strings.Split(strings.Repeat(bad+"\n"+openKline+"\n", 11), "\n")[:22], time.Second, "mkmkmkmkmkmkmkmkmk!", "too many"},
		{"nine in each minute", strings.Split(strings.Repeat(bad+"\n"+openKline+"\n", 20), "\n")[:40], 3400 * time.Millisecond, strings.Repeat("mk", 20), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				connection := dialPipe(t, StreamConfig{SilentAfter: time.Hour}, func(server *websocket.Conn) {
					go untilGone(server)
					for _, message := range test.messages {
						if server.WriteMessage(websocket.TextMessage, []byte(message)) != nil {
							return
						}
						<-time.After(test.pause)
					}
				})
				got := ""
				for len(got) < len(test.want) {
					event, err := connection.Next(t.Context())
					switch {
					case err != nil:
						if market.ErrorCode(err) != market.Unavailable || test.says == "" || !strings.Contains(err.Error(), test.says) {
							t.Errorf("it ends: %v", err)
						}
						got += "!"
					case event.Malformed && event == (live.Event{Malformed: true}):
						got += "m"
					case event.Kline.Series == btc15m:
						got += "k"
					}
					if err != nil {
						break
					}
				}
				if got != test.want {
					t.Errorf("events are %s, want %s", got, test.want)
				}
				connection.Close()
			})
		})
	}
}

// TestNextEndsAtOnce wants neither the end of a context nor Close to wait for the
// exchange.
func TestNextEndsAtOnce(t *testing.T) {
	errLeft := errors.New("the caller left")
	for _, test := range []struct {
		name string
		end  func(live.Connection, context.CancelCauseFunc)
		is   func(error) bool
	}{
		{
			"context", func(_ live.Connection, cancel context.CancelCauseFunc) { cancel(errLeft) },
			func(err error) bool { return errors.Is(err, errLeft) },
		},
		{
			"close", func(connection live.Connection, _ context.CancelCauseFunc) { connection.Close() },
			func(err error) bool { return market.ErrorCode(err) == market.Unavailable },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				connection := dialPipe(t, StreamConfig{}, func(server *websocket.Conn) {
					go untilGone(server)
					// Pings must not undo the end.
					for server.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)) == nil {
						<-time.After(time.Second)
					}
				})
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				ended := make(chan error, 1)
				go func() {
					_, err := connection.Next(ctx)
					ended <- err
				}()
				synctest.Wait()
				began := time.Now()
				test.end(connection, cancel)
				if err := <-ended; !test.is(err) || time.Since(began) != 0 {
					t.Errorf("after %s: %v", time.Since(began), err)
				}
				cancel(errLeft)
				if _, err := connection.Next(ctx); !errors.Is(err, errLeft) {
					t.Errorf("the next one: %v", err)
				}
			})
		})
	}
}

// TestClose wants the exchange told, once.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said error
		connection := dialPipe(t, StreamConfig{}, func(server *websocket.Conn) {
			_, _, said = server.NextReader()
		})
		for range 2 {
			if err := connection.Close(); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if !websocket.IsCloseError(said, websocket.CloseNormalClosure) {
			t.Errorf("the exchange heard %v", said)
		}
	})
}

// BenchmarkNext reads events from a socket that always has one.
func BenchmarkNext(b *testing.B) {
	message, err := websocket.NewPreparedMessage(websocket.TextMessage, []byte(openKline))
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(streaming(b, nil, func(connection *websocket.Conn) {
		for connection.WritePreparedMessage(message) == nil {
		}
	}))
	defer server.Close()
	connection, err := newStreamDialer(b, StreamConfig{URL: streamURL(server)}).Dial(b.Context(), []market.Series{btc15m})
	if err != nil {
		b.Fatal(err)
	}
	defer connection.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := connection.Next(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
