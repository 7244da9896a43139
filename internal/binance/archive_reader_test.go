package binance

import "github.com/cryptoboat/cryptoboat/internal/market"

var btc15m = market.Series{Symbol: "BTCUSDT", Interval: market.Minute15}
