package timescale_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// A database that went away is unavailable, which is no fault of the service.
func TestADatabaseThatWentAwayIsUnavailable(t *testing.T) {
	address, err := url.Parse(timescaletest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	cable, cut := plug(t, address.Host)
	address.Host = cable
	d, err := timescale.Open(t.Context(), address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.MigrateUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Catalogue(t.Context()); err != nil {
		t.Fatal(err)
	}
	cut()
	// The first call may still find a connection that it did not know was dead.
	_, _ = d.Catalogue(t.Context())
	if _, err := d.Catalogue(t.Context()); market.ErrorCode(err) != market.Unavailable {
		t.Errorf("got %v", err)
	}
	if err := d.Ping(t.Context()); market.ErrorCode(err) != market.Unavailable {
		t.Errorf("ping: %v", err)
	}
}

// plug forwards connections to a server until cut is called.
func plug(t *testing.T, server string) (address string, cut func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mutex sync.Mutex
	var ends []net.Conn
	cut = sync.OnceFunc(func() {
		listener.Close()
		mutex.Lock()
		defer mutex.Unlock()
		for _, end := range ends {
			end.Close()
		}
	})
	t.Cleanup(cut)
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", server)
			if err != nil {
				near.Close()
				return
			}
			mutex.Lock()
			ends = append(ends, near, far)
			mutex.Unlock()
			go io.Copy(far, near)
			go io.Copy(near, far)
		}
	}()
	return listener.Addr().String(), cut
}
