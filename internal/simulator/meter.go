package simulator

import "time"

// Meter is what an offline exchange has seen since it was made. It is how a test
// tells whether a client kept to the rules.
type Meter struct {
	Exchange Traffic
	Coins    Traffic         // CoinGecko's part; each call weighs 1
	Faults   map[Fault]int64 // how often each fault took effect
}

// Traffic is what came in by REST, refused requests included.
type Traffic struct {
	Requests        int64
	FullestWindow   Window // the one with the most weight so far
	TooManyRequests int64  // answered 429
	Banned          int64  // answered 418
	// Violations are the requests that were sent while a 429 or a 418 forbade it;
	// a client that obeys has none.
	Violations int64
}

// Window is a span of RateLimit.Window and the weight that fell into it, that of
// refused requests included.
type Window struct {
	Start  time.Time
	Weight int
}
