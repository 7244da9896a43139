package simulator

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseScript(t *testing.T) {
	script, err := ParseScript([]byte(`{"seed": 7, "rules": [
		{"on": "klines", "fault": "too_many_requests", "nth": 3, "wait": "2s"},
		{"on": "rest", "fault": "server_error", "status": 503, "probability": 0.25, "count": 4},
		{"on": "websocket", "fault": "stale_clock", "shift": "-1m30s", "after": 5, "every": 2}]}`))
	want := Script{Seed: 7, Rules: []Rule{
		{On: Klines, Fault: TooManyRequests, Nth: 3, Wait: 2 * time.Second},
		{On: REST, Fault: ServerError, Status: 503, Probability: 0.25, Count: 4},
		{On: WebSocket, Fault: StaleClock, Shift: -90 * time.Second, After: 5, Every: 2},
	}}
	if err != nil || script.Seed != want.Seed || !slices.Equal(script.Rules, want.Rules) {
		t.Errorf("%+v, %v", script, err)
	}
}

func TestWrongScriptsAreRefused(t *testing.T) {
	for _, test := range []struct{ text, says string }{
		{`{"rules": [{"on": "klines", "fault": "flood"}]}`, `rule 1 of the fault script: fault "flood" is unknown: use one of banned, blocked`},
		{`{"rules": [{"on": "klines"}]}`, `fault "" is unknown`},
		{`{"rules": [{"on": "orders", "fault": "blocked"}]}`, `blocked cannot be played on "orders": use one of rest, ping`},
		{`{"rules": [{"on": "ping", "fault": "blocked"}, {"on": "ping", "fault": "short_row"}]}`, `rule 2 of the fault script: short_row cannot be played on "ping": use one of klines`},
		{`{"rules": [{"on": "coins", "fault": "banned", "wait": "1s"}]}`, "cannot be played on"},
		{`{"rules": [{"on": "websocket", "fault": "blocked"}]}`, "cannot be played on"},
		{`{"rules": [{"on": "klines", "fault": "blocked", "nht": 3}]}`, `unknown field "nht"`},
		{`{"rule": []}`, `unknown field "rule"`},
		{`{"rules": []} {}`, "more after its end"},
		{`{"rules": [`, "unexpected EOF"},
		{`{"rules": [{"on": "klines", "fault": "blocked", "nth": -1}]}`, "negative"},
		{`{"rules": [{"on": "klines", "fault": "blocked", "probability": 1.5}]}`, "probability 1.5"},
		{`{"rules": [{"on": "klines", "fault": "blocked", "probability": 0.5, "every": 2}]}`, "one of them"},
		{`{"rules": [{"on": "klines", "fault": "slow_body"}]}`, "slow_body needs a wait"},
		{`{"rules": [{"on": "klines", "fault": "slow_body", "wait": "-1s"}]}`, "wait -1s is negative"},
		{`{"rules": [{"on": "klines", "fault": "slow_body", "wait": 3}]}`, "wait"},
		{`{"rules": [{"on": "klines", "fault": "slow_body", "wait": "long"}]}`, "invalid duration"},
		{`{"rules": [{"on": "klines", "fault": "blocked", "wait": "1s"}]}`, "blocked takes no wait"},
		{`{"rules": [{"on": "klines", "fault": "banned", "wait": "1.5s"}]}`, "whole seconds"},
		{`{"rules": [{"on": "klines", "fault": "server_error"}]}`, "server_error needs a status from 500 to 599, not 0"},
		{`{"rules": [{"on": "klines", "fault": "html_page", "status": 200}]}`, "html_page needs a status from 400"},
		{`{"rules": [{"on": "klines", "fault": "blocked", "status": 451}]}`, "blocked takes no status"},
		{`{"rules": [{"on": "websocket", "fault": "stale_clock"}]}`, "stale_clock needs a shift"},
		{`{"rules": [{"on": "klines", "fault": "blocked", "shift": "1s"}]}`, "blocked takes no shift"},
		{`{"rules": [{"on": "klines", "fault": "blocked", "after": 1}]}`, "blocked takes no after"},
	} {
		if _, err := ParseScript([]byte(test.text)); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s:\n%v, want %q", test.text, err, test.says)
		}
	}
	e := open(t, Config{})
	if err := e.SetScript(Script{Rules: []Rule{{On: Klines, Fault: "flood"}}}); err == nil {
		t.Error("SetScript took a wrong script")
	}
}

func FuzzParseScript(f *testing.F) {
	f.Add([]byte(`{"seed": 7, "rules": [{"on": "klines", "fault": "too_many_requests", "nth": 3, "wait": "2s"}]}`))
	f.Add([]byte(`{"rules": [{"on": "websocket", "fault": "server_shutdown", "after": 2, "wait": "1s"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		script, err := ParseScript(text)
		if err != nil {
			return
		}
		if err := script.Validate(); err != nil {
			t.Error(err)
		}
	})
}

// numbers returns which of so many requests a lone rule plays on.
func numbers(rule Rule, requests int) []int {
	var player faultPlayer
	player.set(Script{Seed: 1, Rules: []Rule{rule}})
	var played []int
	for k := range requests {
		if player.pick(Klines) != nil {
			played = append(played, k+1)
		}
	}
	return played
}

func TestWhichRequestsARuleIsFor(t *testing.T) {
	for _, test := range []struct {
		rule Rule
		want []int
	}{
		{Rule{On: Klines}, []int{1}},
		{Rule{On: REST, Nth: 3}, []int{3}},
		{Rule{On: Klines, Nth: 3, Count: 2}, []int{3, 4}},
		{Rule{On: Klines, Every: 4}, []int{1, 5, 9}},
		{Rule{On: Klines, Nth: 2, Every: 4}, []int{2, 6, 10}},
		{Rule{On: Klines, Nth: 2, Every: 4, Count: 2}, []int{2, 6}},
		{Rule{On: Klines, Nth: 9, Probability: 1}, []int{9, 10}},
		{Rule{On: Klines, Probability: 1, Count: 2}, []int{1, 2}},
		{Rule{On: Ping}, nil},
		{Rule{On: Coins}, nil},
	} {
		if got := numbers(test.rule, 10); !slices.Equal(got, test.want) {
			t.Errorf("%+v: %v, want %v", test.rule, got, test.want)
		}
	}
	often := Rule{On: Klines, Probability: 0.25}
	if a, b := numbers(often, 4000), numbers(often, 4000); !slices.Equal(a, b) || len(a) < 900 || len(a) > 1100 {
		t.Errorf("a quarter of 4000 requests: %d and %d", len(a), len(b))
	}
	if got := numbers(Rule{On: Klines, Probability: 0.25, Count: 3}, 4000); !slices.Equal(got, numbers(often, 4000)[:3]) {
		t.Errorf("%v are not the first three of the unbounded rule", got)
	}
}

func TestARuleThatIsKeptWaitingPlaysNext(t *testing.T) {
	var player faultPlayer
	player.set(Script{Rules: []Rule{{On: Klines, Fault: Blocked, Nth: 2}, {On: REST, Fault: CutBody, Nth: 2}, {On: Klines, Fault: EmptyPage, Nth: 2}}})
	var played []Fault
	for k := range 6 {
		rule := player.pick(Klines)
		if rule == nil {
			played = append(played, "")
			continue
		}
		if rule.Fault == EmptyPage && k == 3 {
			player.postpone(rule)
		}
		played = append(played, rule.Fault)
	}
	if want := []Fault{"", Blocked, CutBody, EmptyPage, EmptyPage, ""}; !slices.Equal(played, want) {
		t.Errorf("%q, want %q", played, want)
	}
}
