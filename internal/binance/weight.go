package binance

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	gobinance "github.com/adshao/go-binance/v2"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// KlinesWeight is what the exchange counts for a page of candles.
const KlinesWeight = 2

// exchangeInfoWeight is the most that any of our requests weighs.
const exchangeInfoWeight = 20

// weightOf returns what the exchange counts for a request, by Binance's table
// for its spot market.
func weightOf(asked *url.URL) (int, error) {
	switch asked.Path {
	case "/api/v3/ping", "/api/v3/time":
		return 1, nil
	case "/api/v3/klines":
		return KlinesWeight, nil
	case "/api/v3/ticker/price":
		if asked.Query().Has("symbol") {
			return 2, nil
		}
		return 4, nil
	case "/api/v3/exchangeInfo":
		return exchangeInfoWeight, nil
	}
	return 0, fmt.Errorf("the weight of %s is not known", asked.Path)
}

// weightLimit is how much weight the exchange allows an address in each of its
// windows, which follow one another without a gap.
type weightLimit struct {
	weight int
	window time.Duration
	header string // of answers, canonical: the weight used so far in the window
}

// share is the part of a limit that may be used, in percent. One half of the
// limit is left for what cannot be seen: what others behind the same address ask
// between two answers, and requests that net/http repeats on its own when a kept
// connection turns out to be closed. The hundredth below the other half is for
// the first request of processes that begin, which is sent before anything is
// known of what is used.
const share = 49

// allowed returns how much weight may be used in a window.
func (l weightLimit) allowed() int { return l.weight * share / 100 }

// leastLimit is the least weight of which share has room for what a process
// needs to learn the limit: a ping and exchangeInfo.
const leastLimit = ((1+exchangeInfoWeight)*100 + share - 1) / share

// usualLimit is Binance's since August 2023.
var usualLimit = weightLimit{weight: 6000, window: time.Minute, header: usedWeightHeader(1, "M")}

const usedWeightPrefix = "X-Mbx-Used-Weight-"

func usedWeightHeader(number int64, letter string) string {
	return http.CanonicalHeaderKey(fmt.Sprintf("%s%d%s", usedWeightPrefix, number, letter))
}

// units are those of the exchange's windows, by the letter in a header's name,
// which is the first of the unit's name.
var units = map[string]time.Duration{"S": time.Second, "M": time.Minute, "H": time.Hour, "D": 24 * time.Hour}

// mostUnits bounds the length of a window.
const mostUnits = 1000

// assumedLimit returns what to take for the limit until the exchange tells it, by
// the windows that an answer's headers name, and whether they name one. It is the
// usual limit where they name its window. Of another window only the length is
// known, so it is leastLimit: nothing but a ping and exchangeInfo goes into one
// window, and only where nobody else uses it. Of several the longest is taken.
func assumedLimit(header http.Header) (weightLimit, bool) {
	if header[usualLimit.header] != nil {
		return usualLimit, true
	}
	assumed := weightLimit{weight: leastLimit}
	for name := range header {
		text, found := strings.CutPrefix(name, usedWeightPrefix)
		if !found || text == "" {
			continue
		}
		number, err := strconv.ParseUint(text[:len(text)-1], 10, 16)
		unit := units[strings.ToUpper(text[len(text)-1:])]
		if window := time.Duration(number) * unit; err == nil && number <= mostUnits && window > assumed.window {
			assumed.window, assumed.header = window, name
		}
	}
	return assumed, assumed.window > 0
}

// limitOf picks the limit of the request weight from those that the exchange
// told.
func limitOf(told []gobinance.RateLimit) (weightLimit, error) {
	names := map[string]string{"SECOND": "S", "MINUTE": "M", "HOUR": "H", "DAY": "D"}
	for _, limit := range told {
		if limit.RateLimitType != "REQUEST_WEIGHT" {
			continue
		}
		letter := names[limit.Interval]
		if letter == "" || limit.IntervalNum < 1 || limit.IntervalNum > mostUnits ||
			limit.Limit < leastLimit || limit.Limit > 1e9 {
			return weightLimit{}, market.Errorf(market.Unavailable, "the limit of %d weight in %d × %s is none to live under",
				limit.Limit, limit.IntervalNum, quote(limit.Interval))
		}
		return weightLimit{
			weight: int(limit.Limit),
			window: time.Duration(limit.IntervalNum) * units[letter],
			header: usedWeightHeader(limit.IntervalNum, letter),
		}, nil
	}
	return weightLimit{}, market.Errorf(market.Unavailable, "the answer is malformed: it tells no limit of the request weight")
}
