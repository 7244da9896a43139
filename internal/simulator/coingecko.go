package simulator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// coinsPath is CoinGecko's call for what is known of several coins at once.
const coinsPath = "/api/v3/coins/markets"

// coinFacts is what candles do not tell of a coin.
type coinFacts struct {
	id, name  string
	supply    float64 // on supplyDay
	perDay    float64 // growth since then
	maxSupply float64 // 0 where there is none
}

var supplyDay = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// knownCoins is by ticker. The growth is that of the protocols: 3.125 BTC a block,
// 144 blocks a day; and about 0.7 % of ether a year.
var knownCoins = map[string]coinFacts{
	"BTC": {id: "bitcoin", name: "Bitcoin", supply: 19_969_000, perDay: 450, maxSupply: 21_000_000},
	"ETH": {id: "ethereum", name: "Ethereum", supply: 120_694_000, perDay: 2_300},
}

func factsOf(ticker string) coinFacts {
	if facts, known := knownCoins[ticker]; known {
		return facts
	}
	return coinFacts{id: strings.ToLower(ticker), name: ticker, supply: 1e9, perDay: 1e5}
}

// supplyAt is the circulating supply, never less than half of the known one.
func (f coinFacts) supplyAt(at time.Time) float64 {
	supply := max(f.supply+f.perDay*math.Floor(at.Sub(supplyDay).Hours()/24), f.supply/2)
	if f.maxSupply > 0 {
		supply = min(supply, f.maxSupply)
	}
	return supply
}

// coinMarket is a coin in CoinGecko's form.
type coinMarket struct {
	ID                           string   `json:"id"`
	Symbol                       string   `json:"symbol"`
	Name                         string   `json:"name"`
	Image                        string   `json:"image"`
	CurrentPrice                 float64  `json:"current_price"`
	MarketCap                    float64  `json:"market_cap"`
	MarketCapRank                int      `json:"market_cap_rank"`
	FullyDilutedValuation        float64  `json:"fully_diluted_valuation"`
	TotalVolume                  float64  `json:"total_volume"`
	High24h                      float64  `json:"high_24h"`
	Low24h                       float64  `json:"low_24h"`
	PriceChange24h               float64  `json:"price_change_24h"`
	PriceChangePercentage24h     float64  `json:"price_change_percentage_24h"`
	MarketCapChange24h           float64  `json:"market_cap_change_24h"`
	MarketCapChangePercentage24h float64  `json:"market_cap_change_percentage_24h"`
	CirculatingSupply            float64  `json:"circulating_supply"`
	TotalSupply                  float64  `json:"total_supply"`
	MaxSupply                    *float64 `json:"max_supply"`
	ATH                          float64  `json:"ath"`
	ATHChangePercentage          float64  `json:"ath_change_percentage"`
	ATHDate                      string   `json:"ath_date"`
	ATL                          float64  `json:"atl"`
	ATLChangePercentage          float64  `json:"atl_change_percentage"`
	ATLDate                      string   `json:"atl_date"`
	ROI                          *float64 `json:"roi"` // always null
	LastUpdated                  string   `json:"last_updated"`
}

func (s *Server) serveCoins(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		http.Error(w, "405 Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	now := s.now()
	if verdict := s.coins.admit(now, 1); verdict.status != 0 {
		s.refuseCoins(w, now, verdict)
		return
	}
	fault := s.faults.pick(Coins)
	s.deliver(w, r, fault, s.coinMarkets(r), func(status int, length time.Duration) {
		s.refuseCoins(w, now, s.coins.forbid(now, status, length))
	})
}

func (s *Server) refuseCoins(w http.ResponseWriter, now time.Time, verdict verdict) {
	s.log.Warn("coins request refused", "status", verdict.status, "until", verdict.until)
	setRetryAfter(w.Header(), now, verdict.until)
	writeAnswer(w, answer{verdict.status, []byte(`{"status":{"error_code":429,"error_message":"You've exceeded the Rate Limit."}}`)})
}

// coinMarkets answers with the coins asked for, largest first. A coin that is not
// known is left out, as CoinGecko does.
func (s *Server) coinMarkets(r *http.Request) answer {
	values := r.URL.Query()
	switch currency := values.Get("vs_currency"); currency {
	case "usd":
	case "":
		return answer{http.StatusUnprocessableEntity, []byte(`{"error":"Missing parameter vs_currency"}`)}
	default:
		return answer{http.StatusBadRequest, []byte(`{"error":"invalid vs_currency"}`)}
	}
	coins := s.allCoins(s.clock())
	if values.Has("ids") {
		ids := strings.Split(values.Get("ids"), ",")
		coins = slices.DeleteFunc(coins, func(coin coinMarket) bool { return !slices.Contains(ids, coin.ID) })
	}
	body, err := json.Marshal(coins)
	if err != nil {
		panic(fmt.Errorf("encoding coins of finite numbers: %w", err))
	}
	return answer{http.StatusOK, body}
}

// allCoins describes the base asset of every pair that has been traded; of the
// first pair where it has several.
func (s *Server) allCoins(now time.Time) []coinMarket {
	coins := []coinMarket{}
	for _, pair := range s.pairs {
		facts := factsOf(pair.Base)
		if slices.ContainsFunc(coins, func(coin coinMarket) bool { return coin.ID == facts.id }) {
			continue
		}
		if coin, traded := s.coin(pair, facts, now); traded {
			coins = append(coins, coin)
		}
	}
	slices.SortStableFunc(coins, func(a, b coinMarket) int { return cmp.Compare(b.MarketCap, a.MarketCap) })
	for k := range coins {
		coins[k].MarketCapRank = k + 1
	}
	return coins
}

func (s *Server) coin(pair Pair, facts coinFacts, now time.Time) (coinMarket, bool) {
	price, traded := s.lastPrice(pair.Symbol, now)
	if !traded {
		return coinMarket{}, false
	}
	dayAgo := now.Add(-24 * time.Hour)
	day := s.page(klineQuery{
		series: market.Series{Symbol: pair.Symbol, Interval: priceInterval},
		opens:  market.TimeRange{Start: dayAgo, End: now.Add(1)},
		limit:  mostKlines,
	}, now)
	before, high, low, volume := price, price, price, 0.0
	for k, candle := range day {
		if k == 0 {
			before = candle.Open
		}
		high, low = max(high, candle.High), min(low, candle.Low)
		volume += candle.QuoteVolume.Value
	}
	extreme := s.extremes.of(s.source, pair, now)
	supply, supplyBefore := facts.supplyAt(now), facts.supplyAt(dayAgo)
	coin := coinMarket{
		ID: facts.id, Symbol: strings.ToLower(pair.Base), Name: facts.name,
		CurrentPrice: price, MarketCap: math.Round(price * supply),
		TotalVolume: math.Round(volume), High24h: high, Low24h: low,
		PriceChange24h:               price - before,
		PriceChangePercentage24h:     percent(price, before),
		MarketCapChange24h:           price*supply - before*supplyBefore,
		MarketCapChangePercentage24h: percent(price*supply, before*supplyBefore),
		CirculatingSupply:            supply, TotalSupply: supply,
		ATH: extreme.high, ATHChangePercentage: percent(price, extreme.high), ATHDate: coinTime(extreme.highDay),
		ATL: extreme.low, ATLChangePercentage: percent(price, extreme.low), ATLDate: coinTime(extreme.lowDay),
		LastUpdated: coinTime(now),
	}
	diluted := supply
	if facts.maxSupply > 0 {
		diluted = facts.maxSupply
		coin.MaxSupply = &facts.maxSupply
	}
	coin.FullyDilutedValuation = math.Round(price * diluted)
	return coin, true
}

// percent is the change from one price to another, with five decimals.
func percent(to, from float64) float64 { return math.Round((to/from-1)*1e7) / 1e5 }

func coinTime(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }

// extremes remembers the highest and lowest price of each pair over the days that
// have closed, so that a call looks at new days only.
type extremes struct {
	mu       sync.Mutex
	bySymbol map[market.Symbol]extreme
}

// extreme is the price range of a pair up to a day.
type extreme struct {
	through         time.Time // the open time of the first day that is not in it
	high, low       float64
	highDay, lowDay time.Time // open times
}

func (e *extremes) of(source Source, pair Pair, now time.Time) extreme {
	series := market.Series{Symbol: pair.Symbol, Interval: market.Day1}
	today := market.Day1.Floor(now)
	e.mu.Lock()
	defer e.mu.Unlock()
	known := e.bySymbol[pair.Symbol]
	if known.through.IsZero() || today.Before(known.through) {
		known = extreme{through: market.Day1.Floor(pair.Listed), low: math.Inf(1)}
	}
	for known.through.Before(today) {
		days := source.Candles(series, market.TimeRange{Start: known.through, End: today}, mostKlines)
		for k := range days {
			known.add(&days[k])
		}
		if len(days) < mostKlines {
			known.through = today
			break
		}
		known.through = market.Day1.Next(days[len(days)-1].OpenTime)
	}
	if e.bySymbol == nil {
		e.bySymbol = map[market.Symbol]extreme{}
	}
	e.bySymbol[pair.Symbol] = known
	if open, traded := source.OpenCandle(series, now); traded {
		known.add(&open)
	}
	return known
}

func (e *extreme) add(day *market.Candle) {
	if day.High > e.high {
		e.high, e.highDay = day.High, day.OpenTime
	}
	if day.Low < e.low {
		e.low, e.lowDay = day.Low, day.OpenTime
	}
}
