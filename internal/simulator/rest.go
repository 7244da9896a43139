package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// restEndpoint is one of Binance's paths.
type restEndpoint struct {
	name       Endpoint
	parameters []string
	weight     func(url.Values) int
	answer     func(*Server, call) ([]byte, *apiError)
}

// call is a request that was let in.
type call struct {
	values url.Values
	now    time.Time  // by the exchange's clock, which may be skewed
	fault  *faultPlay // nil for a true answer
}

var restEndpoints = map[string]restEndpoint{
	"/api/v3/ping": {
		name: Ping, weight: weighs(1),
		answer: func(*Server, call) ([]byte, *apiError) { return []byte(`{}`), nil },
	},
	"/api/v3/time": {name: Time, weight: weighs(1), answer: (*Server).serverTime},
	"/api/v3/exchangeInfo": {
		name: ExchangeInfo, weight: weighs(20), answer: (*Server).exchangeInfo,
		parameters: []string{"symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus"},
	},
	"/api/v3/klines": {
		name: Klines, weight: weighs(2), answer: (*Server).klines,
		parameters: []string{"symbol", "interval", "startTime", "endTime", "timeZone", "limit"},
	},
	"/api/v3/ticker/price": {
		name: TickerPrice, answer: (*Server).tickerPrice,
		parameters: []string{"symbol", "symbols"},
		weight: func(values url.Values) int {
			if values.Has("symbol") {
				return 2
			}
			return 4
		},
	},
}

func weighs(weight int) func(url.Values) int { return func(url.Values) int { return weight } }

func (s *Server) serveREST(w http.ResponseWriter, r *http.Request, endpoint restEndpoint) {
	if r.Method != http.MethodGet {
		http.Error(w, "405 Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	values, failure := parseParameters(r, endpoint.parameters)
	now := s.now()
	verdict := s.exchange.admit(now, endpoint.weight(values))
	s.setUsedWeight(w.Header(), verdict.used)
	if verdict.status != 0 {
		s.refuse(w, now, verdict)
		return
	}
	fault := s.faults.pick(endpoint.name)
	if fault != nil && fault.Fault == ClockSkew {
		s.skew.Store(int64(fault.Shift))
		s.setDate(w.Header())
		s.played(fault)
		fault = nil
	}
	reply := answer{status: http.StatusOK}
	if failure == nil {
		reply.body, failure = endpoint.answer(s, call{values: values, now: s.clock(), fault: fault})
	}
	if failure != nil {
		reply.status, reply.body = http.StatusBadRequest, failure.body()
	}
	s.deliver(w, r, fault, reply, func(status int, length time.Duration) {
		s.refuse(w, now, s.exchange.forbid(now, status, length))
	})
}

// setUsedWeight tells the weight of the window under both names, the second of
// which gives the window's length.
func (s *Server) setUsedWeight(header http.Header, used int) {
	const name = "X-Mbx-Used-Weight"
	length, unit := s.windowName()
	weight := strconv.Itoa(used)
	header.Set(name, weight)
	header.Set(fmt.Sprintf("%s-%d%c", name, length, unit[0]), weight)
}

// windowName returns the length of the window in Binance's units.
func (s *Server) windowName() (length int64, unit string) {
	if window := s.exchange.limit.Window; window%time.Minute != 0 {
		return int64(window / time.Second), "SECOND"
	}
	return int64(s.exchange.limit.Window / time.Minute), "MINUTE"
}

// refuse answers 429 or 418 and until when.
func (s *Server) refuse(w http.ResponseWriter, now time.Time, verdict verdict) {
	length, unit := s.windowName()
	failure := apiErrorf(-1003, "Too much request weight used; current limit is %d request weight per %d %s. "+
		"Please use WebSocket Streams for live updates to avoid polling the API.", s.exchange.limit.Weight, length, unit)
	if verdict.status == http.StatusTeapot {
		failure = apiErrorf(-1003, "Way too much request weight used; IP banned until %d. "+
			"Please use WebSocket Streams for live updates to avoid bans.", verdict.until.UnixMilli())
	}
	s.log.Warn("request refused", "status", verdict.status, "until", verdict.until, "used_weight", verdict.used)
	setRetryAfter(w.Header(), now, verdict.until)
	writeAnswer(w, answer{status: verdict.status, body: failure.body()})
}

func (s *Server) serverTime(c call) ([]byte, *apiError) {
	return fmt.Appendf(nil, `{"serverTime":%d}`, c.now.UnixMilli()), nil
}

// tickerPrice answers an object where one pair was asked for by symbol, else an
// array. A pair that was never traded yet has no price and is left out.
func (s *Server) tickerPrice(c call) ([]byte, *apiError) {
	pairs, failure := s.selection(c.values)
	if failure != nil {
		return nil, failure
	}
	single := c.values.Has("symbol")
	body := []byte{'['}
	for _, pair := range pairs {
		price, traded := s.lastPrice(pair.Symbol, c.now)
		if !traded {
			if single {
				return nil, errInvalidSymbol
			}
			continue
		}
		if len(body) > 1 {
			body = append(body, ',')
		}
		body = fmt.Appendf(body, `{"symbol":%q,"price":"`, pair.Symbol)
		body = append(appendDecimal(body, price), `"}`...)
	}
	if single {
		return body[1:], nil
	}
	return append(body, ']'), nil
}

// priceInterval is that of the candles that a price is read from.
const priceInterval = market.Minute15

// lastPrice returns the price of the newest trade at an instant, if there was one.
func (s *Server) lastPrice(symbol market.Symbol, at time.Time) (float64, bool) {
	series := market.Series{Symbol: symbol, Interval: priceInterval}
	candles := s.newestCandles(series, market.TimeRange{End: at.Add(1)}, 1, at)
	if len(candles) == 0 {
		return 0, false
	}
	return candles[0].Close, true
}

// exchangeSymbol is what exchangeInfo says of a pair.
type exchangeSymbol struct {
	Symbol                     market.Symbol    `json:"symbol"`
	Status                     string           `json:"status"`
	BaseAsset                  string           `json:"baseAsset"`
	BaseAssetPrecision         int              `json:"baseAssetPrecision"`
	QuoteAsset                 string           `json:"quoteAsset"`
	QuotePrecision             int              `json:"quotePrecision"`
	QuoteAssetPrecision        int              `json:"quoteAssetPrecision"`
	BaseCommissionPrecision    int              `json:"baseCommissionPrecision"`
	QuoteCommissionPrecision   int              `json:"quoteCommissionPrecision"`
	OrderTypes                 []string         `json:"orderTypes"`
	IcebergAllowed             bool             `json:"icebergAllowed"`
	OcoAllowed                 bool             `json:"ocoAllowed"`
	QuoteOrderQtyMarketAllowed bool             `json:"quoteOrderQtyMarketAllowed"`
	IsSpotTradingAllowed       bool             `json:"isSpotTradingAllowed"`
	IsMarginTradingAllowed     bool             `json:"isMarginTradingAllowed"`
	Filters                    []map[string]any `json:"filters"`
	Permissions                []string         `json:"permissions"`
	PermissionSets             [][]string       `json:"permissionSets"`
}

// symbolFilters are those of BTCUSDT, which serve for any pair that is only watched.
var symbolFilters = []map[string]any{
	{"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "maxPrice": "1000000.00000000", "tickSize": "0.01000000"},
	{"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
	{"filterType": "ICEBERG_PARTS", "limit": 10},
	{"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": "100.00000000", "stepSize": "0.00000000"},
	{"filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": "5", "bidMultiplierDown": "0.2",
		"askMultiplierUp": "5", "askMultiplierDown": "0.2", "avgPriceMins": 5},
	{"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": true,
		"maxNotional": "9000000.00000000", "applyMaxToMarket": false, "avgPriceMins": 5},
	{"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
	{"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
}

func (s *Server) exchangeInfo(c call) ([]byte, *apiError) {
	pairs, failure := s.selection(c.values)
	if failure != nil {
		return nil, failure
	}
	symbols := make([]exchangeSymbol, len(pairs))
	for k, pair := range pairs {
		symbols[k] = exchangeSymbol{
			Symbol: pair.Symbol, Status: "TRADING",
			BaseAsset: pair.Base, BaseAssetPrecision: decimals, BaseCommissionPrecision: decimals,
			QuoteAsset: pair.Quote, QuotePrecision: decimals, QuoteAssetPrecision: decimals, QuoteCommissionPrecision: decimals,
			OrderTypes:     []string{"LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"},
			IcebergAllowed: true, OcoAllowed: true, QuoteOrderQtyMarketAllowed: true, IsSpotTradingAllowed: true,
			Filters: symbolFilters, Permissions: []string{}, PermissionSets: [][]string{{"SPOT"}},
		}
	}
	length, unit := s.windowName()
	body, err := json.Marshal(map[string]any{
		"timezone":   "UTC",
		"serverTime": c.now.UnixMilli(),
		"rateLimits": []map[string]any{{
			"rateLimitType": "REQUEST_WEIGHT", "interval": unit, "intervalNum": length, "limit": s.exchange.limit.Weight,
		}},
		"exchangeFilters": []any{},
		"symbols":         symbols,
	})
	if err != nil {
		panic(err) // strings, numbers and booleans always marshal
	}
	return body, nil
}
