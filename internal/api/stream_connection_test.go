package api

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// watchedListener tells of each write to its connections that has ended.
type watchedListener struct {
	net.Listener
	written chan int // bytes
}

func (l watchedListener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return watchedConnection{connection.(*net.TCPConn), l.written}, nil
}

type watchedConnection struct {
	*net.TCPConn
	written chan<- int
}

func (c watchedConnection) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	c.written <- n
	return n, err
}

// Over TCP, both systems hold what a reader has not taken. Little of it may be
// older than the newest price when the reader goes on.
func TestSlowReaderOverTCPGetsTheNewest(t *testing.T) {
	const (
		most = 256 << 10 // of which the reader's own system holds most
		// blocked is how long a write takes that nobody takes anything of.
		blocked = 500 * time.Millisecond
	)
	f, hub := followed()
	loopback, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := watchedListener{loopback, make(chan int, 1000)}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: serveFake(t, f), ConnContext: ConnContext}}
	server.Start()
	defer server.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprint(conn, "GET /v1/stream HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	held := <-listener.written // the first heartbeat
	for stalled := false; !stalled && held <= most; {
		publishPrice(hub, "BTCUSDT")
		select {
		case n := <-listener.written:
			held += n
		case <-time.After(blocked):
			stalled = true
		}
	}
	if held > most {
		t.Fatalf("%d bytes that nobody reads were sent, want at most %d", held, most)
	}
	t.Logf("%d bytes were sent before the first write waited", held)
	for range 10_000 {
		publishPrice(hub, "BTCUSDT")
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{t, conn, answer, bufio.NewScanner(answer.Body)}
	newest, read := fmt.Sprint(hub.Newest("BTCUSDT").ID), 0
	for e, more := r.next(); e.id != newest; e, more = r.next() {
		if read += len(e.data); !more || read > most {
			t.Fatalf("after %d bytes the newest price has not come", read)
		}
	}
}
