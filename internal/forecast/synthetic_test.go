package forecast

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

var start = time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)

// synthetic makes candles whose volatility clusters and has a daily season, and
// whose returns it draws from a heavy-tailed distribution.
func synthetic(seed uint64, interval market.Interval, count int) []market.Candle {
	random := rand.New(rand.NewPCG(seed, 1))
	candles := make([]market.Candle, count)
	price, level, open := 40000.0, 0.0, start
	for k := range candles {
		level = 0.97*level + 0.15*random.NormFloat64()
		season := 1 + 0.5*math.Sin(2*math.Pi*float64(open.Hour())/24)
		shape := random.NormFloat64() / math.Sqrt((random.ExpFloat64()+random.ExpFloat64()+random.ExpFloat64())/3)
		next := price * math.Exp(0.002*season*math.Exp(level)*shape)
		volume := 100 * math.Exp(level+0.3*random.NormFloat64())
		candles[k] = market.Candle{
			OpenTime: open, Open: price, Close: next,
			High: max(price, next) * (1 + 0.0005*random.ExpFloat64()), Low: min(price, next) * (1 - 0.0005*random.ExpFloat64()),
			Volume: volume, TakerBuyVolume: market.Some(volume * random.Float64()),
			Source: interval, Parts: 1,
		}
		price, open = next, interval.Next(open)
	}
	return candles
}

// memory is a CandleReader and a ModelStore.
type memory struct {
	candles  map[market.Series][]market.Candle
	models   []Model
	contents [][]byte
	order    []int64 // IDs, the one saved last at the end
}

func newMemory(count int) *memory {
	m := &memory{candles: map[market.Series][]market.Candle{}}
	for k, symbol := range []market.Symbol{"BTCUSDT", "ETHUSDT"} {
		series := market.Series{Symbol: symbol, Interval: market.Minute15}
		m.candles[series] = synthetic(uint64(k), market.Minute15, count)
	}
	return m
}

func (m *memory) Candles(_ context.Context, series market.Series, r market.TimeRange, limit int) ([]market.Candle, error) {
	var found []market.Candle
	for _, c := range m.candles[series] {
		if r.Contains(c.OpenTime) && len(found) < limit {
			found = append(found, c)
		}
	}
	return found, nil
}

func (m *memory) LatestCandle(_ context.Context, series market.Series) (market.Candle, error) {
	candles := m.candles[series]
	if len(candles) == 0 {
		return market.Candle{}, market.Errorf(market.NotFound, "no candles of %s", series)
	}
	return candles[len(candles)-1], nil
}

func (m *memory) SaveModel(_ context.Context, record Model, content []byte) (Model, error) {
	for k, known := range m.models {
		if known.Series == record.Series && known.DataHash == record.DataHash {
			m.contents[k] = content
			m.order = append(slices.DeleteFunc(m.order, func(id int64) bool { return id == known.ID }), known.ID)
			return known, nil
		}
	}
	record.ID = int64(len(m.models) + 1)
	m.models, m.contents = append(m.models, record), append(m.contents, content)
	m.order = append(m.order, record.ID)
	return record, nil
}

func (m *memory) NewestModel(_ context.Context, series market.Series, learntBy time.Time) (Model, error) {
	var newest Model
	for _, id := range m.order {
		known := m.models[id-1]
		if known.Series == series && !known.Window.End.Before(newest.Window.End) &&
			(learntBy.IsZero() || !known.Window.End.After(learntBy)) {
			newest = known
		}
	}
	if newest.ID == 0 {
		return Model{}, market.Errorf(market.NotFound, "no model of %s", series)
	}
	return newest, nil
}

func (m *memory) ModelContent(_ context.Context, id int64) ([]byte, error) {
	return m.contents[id-1], nil
}
