package main

import (
	"strings"
	"testing"

	"github.com/cryptoboat/cryptoboat/internal/forecast"
)

func TestADecisionSaysWhatItIsWorth(t *testing.T) {
	costs := forecast.Costs{Fee: 0.001, Spread: 0.0001}
	for _, test := range []struct {
		decision forecast.Decision
		says     string
	}{
		{forecast.Decision{Action: forecast.Hold, ExpectedGain: -0.00207},
			"Decision: hold. The better of buying and selling is expected to earn -0.207 % after a fee of 0.1 % at both ends and a spread of 0.01 %."},
		{forecast.Decision{Action: forecast.Sell, ExpectedGain: 0.0015},
			"Decision: sell, which is expected to earn +0.150 % by the close, after a fee of 0.1 % at both ends and a spread of 0.01 %."},
	} {
		if got := describeDecision(test.decision, costs); got != test.says {
			t.Errorf("it says %q, wanted %q", got, test.says)
		}
	}
}

func TestSkillIsOnlyClaimedWhereItsIntervalIsAboveZero(t *testing.T) {
	metrics := func(low, skill, high float64) forecast.Metrics {
		return forecast.Metrics{Scores: forecast.Scores{Rows: 100, PointSkill: skill, PointSkillLow: low, PointSkillHigh: high}}
	}
	for _, test := range []struct {
		metrics forecast.Metrics
		says    string
	}{
		{metrics(0.0005, 0.0009, 0.0013), "Skill of the point against \"the price stays\" on the newest month, unseen: +0.09 %, 95 % interval +0.05 to +0.13 %."},
		{metrics(-0.0005, 0.0009, 0.0023), "No skill of the point is shown against"},
		{metrics(-0.005, -0.003, -0.001), "No skill of the point is shown against"},
		{metrics(0, 0, 0), "No skill of the point is shown against"},
		{forecast.Metrics{}, "no month was left to measure it on"},
	} {
		if got := describeSkill(test.metrics); !strings.Contains(got, test.says) {
			t.Errorf("it says %q, wanted %q", got, test.says)
		}
	}
}
