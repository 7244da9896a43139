package live

import (
	"encoding/json"
	"testing"
	"time"
)

func TestStatusTellsWhatAnOperatorWants(t *testing.T) {
	inBubble(t, forecasting, two, func(t *testing.T, r *rig) {
		r.live(2 * time.Minute)
		r.exchange.push(Event{Malformed: true, Kline: Kline{Series: ether}})
		r.exchange.drop()
		r.live(10 * time.Second)
		r.exchange.push(Event{Shutdown: true})
		r.live(3 * time.Second)
		time.Sleep(7 * time.Second)
		status := r.Status()
		if status.At != r.clock.Now() || !status.Connected {
			t.Errorf("status is %+v", status)
		}
		c := status.Connections[0]
		if c.Opened != 3 || c.Rotations != 1 || c.Reconnects != 1 || c.Malformed != 1 || c.Series != 2 || !c.Connected {
			t.Errorf("of the connection, status is %+v", c)
		}
		if c.AgeSeconds < 7 || c.AgeSeconds > 20 || c.AgeSeconds != status.At.Sub(c.Since).Seconds() {
			t.Errorf("the connection is %v s old", c.AgeSeconds)
		}
		for k, s := range status.Symbols {
			if s.Symbol != two[k].Symbol || s.Interval != two[k].Interval {
				t.Errorf("status %d is of %s %s", k, s.Symbol, s.Interval)
			}
			if s.AgeSeconds == nil || *s.AgeSeconds != 8 || !s.LastEvent.Equal(time.Now().Add(-8*time.Second)) {
				t.Errorf("the last event was at %v, %v s ago", s.LastEvent, s.AgeSeconds)
			}
			if s.Forecasts.Stored == 0 || s.Forecasts.Scored != 2 {
				t.Errorf("of forecasts, status is %+v", s.Forecasts)
			}
		}
		text, err := json.Marshal(status)
		if err != nil {
			t.Fatal(err)
		}
		var read struct {
			Connections []map[string]any `json:"connections"`
			Symbols     []map[string]any `json:"symbols"`
		}
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"age_seconds", "reconnects", "malformed"} {
			if _, there := read.Connections[0][name]; !there {
				t.Errorf("a connection has no %s: %s", name, text)
			}
		}
		for _, name := range []string{
			"symbol", "interval", "age_seconds", "samples_stored", "samples_waiting", "samples_missing_by_reason",
			"samples_refused", "candles_filled", "candles_corrected", "forecasts",
		} {
			if _, there := read.Symbols[0][name]; !there {
				t.Errorf("a symbol has no %s: %s", name, text)
			}
		}
	})
}

func TestStatusBeforeTheStart(t *testing.T) {
	status := newRig(nil, two...).Status()
	if c := status.Connections[0]; status.Connected || c.Connected || c.Reconnects != 0 || c.AgeSeconds > 60 {
		t.Errorf("status is %+v", status)
	}
	if s := status.Symbols[0]; s.LastEvent != nil || s.AgeSeconds != nil {
		t.Errorf("an event before the start at %v", s.LastEvent)
	}
}
