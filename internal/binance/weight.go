package binance

import (
	"fmt"
	"net/http"
	"net/url"
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

// usualLimit is Binance's since August 2023.
var usualLimit = weightLimit{weight: 6000, window: time.Minute, header: usedWeightHeader(1, "M")}

func usedWeightHeader(number int64, letter string) string {
	return http.CanonicalHeaderKey(fmt.Sprintf("X-MBX-USED-WEIGHT-%d%s", number, letter))
}

// limitOf picks the limit of the request weight from those that the exchange
// told.
func limitOf(told []gobinance.RateLimit) (weightLimit, error) {
	units := map[string]time.Duration{"SECOND": time.Second, "MINUTE": time.Minute, "HOUR": time.Hour, "DAY": 24 * time.Hour}
	for _, limit := range told {
		if limit.RateLimitType != "REQUEST_WEIGHT" {
			continue
		}
		unit := units[limit.Interval]
		if unit == 0 || limit.IntervalNum < 1 || limit.IntervalNum > 1000 ||
			limit.Limit < share*exchangeInfoWeight || limit.Limit > 1e9 {
			return weightLimit{}, market.Errorf(market.Unavailable, "the limit of %d weight in %d × %s is none to live under",
				limit.Limit, limit.IntervalNum, quote(limit.Interval))
		}
		return weightLimit{
			weight: int(limit.Limit),
			window: time.Duration(limit.IntervalNum) * unit,
			header: usedWeightHeader(limit.IntervalNum, limit.Interval[:1]),
		}, nil
	}
	return weightLimit{}, market.Errorf(market.Unavailable, "the answer is malformed: it tells no limit of the request weight")
}
