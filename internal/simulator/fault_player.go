package simulator

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
)

// faultPlayer says which request a fault is played on and counts what took
// effect.
type faultPlayer struct {
	mu    sync.Mutex
	rules []*faultPlay
	plays map[Fault]int64
}

// faultPlay is a rule and how far it has got. The embedded Rule never changes; the
// rest is the player's.
type faultPlay struct {
	Rule
	seen   int // requests of its endpoint
	played int
	random *rand.Rand // nil unless the rule has a probability
}

func (p *faultPlayer) set(script Script) {
	rules := make([]*faultPlay, len(script.Rules))
	for k, rule := range script.Rules {
		rules[k] = &faultPlay{Rule: rule}
		if rule.Probability > 0 {
			rules[k].random = rand.New(rand.NewPCG(script.Seed, uint64(k)))
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = rules
}

// pick counts a request and returns the fault to play on it, nil for none.
func (p *faultPlayer) pick(endpoint Endpoint) *faultPlay {
	p.mu.Lock()
	defer p.mu.Unlock()
	var picked *faultPlay
	for _, rule := range p.rules {
		meant := rule.On == endpoint || rule.On == REST && slices.Contains(exchangeParts, endpoint)
		if !meant {
			continue
		}
		if due := rule.due(); due && picked == nil {
			picked = rule
			rule.played++
		}
	}
	return picked
}

// due counts a request and reports whether the rule is for it.
func (p *faultPlay) due() bool {
	p.seen++
	first := max(p.Nth, 1)
	if p.seen < first {
		return false
	}
	switch {
	case p.random != nil:
		// Drawn even where the rule has played out, so that what is drawn depends on
		// the request's number alone.
		return p.random.Float64() < p.Probability && p.plays()
	case p.Every > 0:
		return (p.seen-first)%p.Every == 0 && p.plays()
	default:
		return p.played < max(p.Count, 1)
	}
}

func (p *faultPlay) plays() bool { return p.Count == 0 || p.played < p.Count }

// postpone takes a play back that the request had no room for.
func (p *faultPlayer) postpone(rule *faultPlay) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rule.played--
}

func (p *faultPlayer) count(fault Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.plays == nil {
		p.plays = map[Fault]int64{}
	}
	p.plays[fault]++
}

func (p *faultPlayer) counts() map[Fault]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.plays)
}

// played says that a fault took effect.
func (s *Server) played(rule *faultPlay) {
	s.faults.count(rule.Fault)
	s.log.Info("fault played", "fault", rule.Fault, "on", rule.On)
}
