package binance

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// stalled is a body that never ends before its request does.
type stalled struct{ ctx context.Context }

func (s stalled) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func (stalled) Close() error { return nil }

func TestABodyThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{next: roundTripper(func(request *http.Request) (*http.Response, error) {
			time.Sleep(time.Hour) // in the governor, which is no fault of the exchange
			return &http.Response{StatusCode: http.StatusOK, Body: stalled{request.Context()}}, nil
		})}
		started := time.Now()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://exchange/api/v3/time", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.RoundTrip(request)
		if market.ErrorCode(err) != market.Unavailable || !strings.Contains(err.Error(), "longer than 30s") {
			t.Error(err)
		}
		if took := time.Since(started); took != time.Hour+bodyTimeout {
			t.Errorf("took %s", took)
		}
	})
}

// A RoundTripper must not change the request that it is given.
func TestTheKeyIsAddedToACopy(t *testing.T) {
	a := &answers{apiKey: "key", next: roundTripper(func(request *http.Request) (*http.Response, error) {
		if request.Header.Get("X-MBX-APIKEY") != "key" || request.Header.Get("Accept") != "a" {
			t.Errorf("sent %v", request.Header)
		}
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("{}"))}, nil
	})}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://exchange/api/v3/time", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "a")
	if _, err := a.RoundTrip(request); err != nil || len(request.Header) != 1 {
		t.Errorf("%v, the request has %v", err, request.Header)
	}
}
