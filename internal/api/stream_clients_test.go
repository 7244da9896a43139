package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

func TestStreamsOfAClientAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := followed()
		s := serveFake(t, f)
		p := servePipes(t, s)
		var readers []*reader
		for k := range mostStreamsOfClient {
			readers = append(readers, p.followFrom(t, address(fmt.Sprintf("192.0.2.1:%d", 5000+k)), "/v1/stream"))
		}
		// get comes from 192.0.2.1, too.
		full := decode[problem](t, s.get(t, "/v1/stream"), http.StatusTooManyRequests)
		if !strings.Contains(full.Detail, "100 streams to your address") || full.RequestID == "" {
			t.Errorf("got %+v", full)
		}
		p.followFrom(t, "192.0.2.2:5000", "/v1/stream").expect("heartbeat")
		readers[0].conn.Close()
		synctest.Wait()
		p.followFrom(t, "192.0.2.1:6000", "/v1/stream").expect("heartbeat")
		decode[problem](t, s.get(t, "/v1/stream"), http.StatusTooManyRequests)
	})
}

func TestStreamClients(t *testing.T) {
	var c streamClients
	for range 2 * mostStreamsOfClient {
		if !c.enter(manyClients) {
			t.Fatal("those who cannot be told apart are bounded as one")
		}
		c.leave(manyClients)
	}
	for k := range 3 * mostStreamsOfClient {
		if got, want := c.enter("a"), k < mostStreamsOfClient; got != want {
			t.Fatalf("stream %d: %t, want %t", k, got, want)
		}
	}
	for range mostStreamsOfClient {
		c.leave("a")
	}
	if len(c.open) != 0 {
		t.Errorf("left in memory: %v", c.open)
	}
}

func TestClientOf(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:1234":               "192.0.2.1",
		"[::ffff:192.0.2.1]:1234":      "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:1":     "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::1]:65535": "2001:db8:1:2::/64",
		"[2001:db8:1:3::1]:1":          "2001:db8:1:3::/64",
		"[fe80::1%eth0]:1":             "fe80::/64",
		"127.0.0.1:1234":               manyClients,
		"[::1]:1234":                   manyClients,
		"[::ffff:127.0.0.1]:1234":      manyClients,
		"@":                            manyClients, // a Unix socket
	} {
		if got := clientOf(remote); got != want {
			t.Errorf("%s: got %q, want %q", remote, got, want)
		}
	}
}
