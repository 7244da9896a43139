package api

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestLongAnswersAreCompressed(t *testing.T) {
	s := serveFake(t, newService(1000))
	for _, test := range []struct {
		target, accept string
		compressed     bool
	}{
		{"/v1/symbols/BTCUSDT/candles?limit=1000", "gzip", true},
		{"/v1/symbols/BTCUSDT/candles?limit=1000&format=csv", "br, gzip;q=0.5", true},
		{"/v1/symbols/BTCUSDT/candles?limit=1000&format=ndjson", "gzip", true},
		{"/openapi.json", "gzip", true},
		{"/v1/symbols/BTCUSDT/candles?limit=1000", "gzip;q=0", false},
		{"/v1/symbols/BTCUSDT/candles?limit=1000", "zstd, br", false},
		{"/v1/symbols/BTCUSDT/candles?limit=1", "gzip", false}, // too short
		{"/v1/symbols/NOUSDT/candles", "gzip", false},
	} {
		plain := s.get(t, test.target)
		request := httptest.NewRequest(http.MethodGet, test.target, nil)
		request.Header.Set("Accept-Encoding", test.accept)
		recorder := httptest.NewRecorder()
		s.ServeHTTP(recorder, request)
		body, header := recorder.Body.Bytes(), recorder.Header()
		if !slices.Contains(header.Values("Vary"), "Accept-Encoding") || !slices.Contains(plain.header.Values("Vary"), "Accept-Encoding") {
			t.Errorf("%s: Vary is %q, of what is not compressed %q", test.target, header.Values("Vary"), plain.header.Values("Vary"))
		}
		etag := plain.header.Get("ETag")
		if test.compressed {
			etag = strings.TrimSuffix(etag, `"`) + `-gzip"`
			reader, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Errorf("%s with %s: %v, %q", test.target, test.accept, err, header)
				continue
			}
			if body, err = io.ReadAll(reader); err != nil {
				t.Error(err)
			}
		}
		if got := header.Get("Content-Encoding") == "gzip"; got != test.compressed || header.Get("ETag") != etag {
			t.Errorf("%s with %s: compressed %t, ETag %q, want %q", test.target, test.accept, got, header.Get("ETag"), etag)
		}
		if recorder.Code == http.StatusOK && string(body) != plain.body {
			t.Errorf("%s with %s: another body", test.target, test.accept)
		}
	}
}

// Who has an answer compressed is told that it holds by the ETag of what it has.
func TestCompressedAnswersStillHold(t *testing.T) {
	s := serveFake(t, newService(100))
	for _, target := range []string{"/v1/symbols/BTCUSDT/candles", "/openapi.json"} {
		plain := s.get(t, target).header.Get("ETag")
		suffixed := strings.TrimSuffix(plain, `"`) + `-gzip"`
		for given, want := range map[string]string{suffixed: suffixed, plain: plain, `"x", ` + suffixed: suffixed, "W/" + suffixed: suffixed} {
			a := s.get(t, target, "Accept-Encoding", "gzip", "If-None-Match", given)
			if a.status != http.StatusNotModified || a.header.Get("ETag") != want || a.body != "" {
				t.Errorf("%s with %s: status %d, ETag %s", target, given, a.status, a.header.Get("ETag"))
			}
		}
	}
}

func TestWhatIsCompressed(t *testing.T) {
	for mediaType, want := range map[string]bool{
		"application/json": true, "Application/JSON; charset=utf-8": true, "application/problem+json": true, ndjsonType: true, csvContentType: true,
		"text/html; charset=utf-8": true, "image/svg+xml": true, "text/event-stream": false, "TEXT/event-stream; x=y": false,
		parquetType: false, "image/png": false, "application/gzip": false, "": false,
	} {
		if isCompressed(mediaType) != want {
			t.Errorf("%q: %t", mediaType, !want)
		}
	}
}

// A thousand candles, as gzip or not: what it costs and how long it is.
func BenchmarkCompress(b *testing.B) {
	s := serveFake(b, newService(1000))
	for _, encoding := range []string{"identity", "gzip"} {
		b.Run(encoding, func(b *testing.B) {
			request := httptest.NewRequest(http.MethodGet, "/v1/symbols/BTCUSDT/candles?limit=1000", nil)
			request.Header.Set("Accept-Encoding", encoding)
			length := 0
			for b.Loop() {
				recorder := httptest.NewRecorder()
				s.ServeHTTP(recorder, request)
				length = recorder.Body.Len()
				s.log.Reset()
			}
			b.ReportMetric(float64(length), "bytes")
		})
	}
}
