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
	models   []Model  // by ID, from 1
	contents [][]byte // nil where pruned
	order    []int64  // IDs, the one trained last at the end
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
	candles := m.candles[series]
	first := position(candles, r.Start)
	end := min(position(candles, r.End), first+limit)
	return slices.Clone(candles[first:max(first, end)]), nil
}

// position returns how many candles open before an instant.
func position(candles []market.Candle, instant time.Time) int {
	n, _ := slices.BinarySearchFunc(candles, instant, func(c market.Candle, at time.Time) int { return c.OpenTime.Compare(at) })
	return n
}

func (m *memory) LatestCandle(_ context.Context, series market.Series) (market.Candle, error) {
	candles := m.candles[series]
	if len(candles) == 0 {
		return market.Candle{}, market.Errorf(market.NotFound, "no candles of %s", series)
	}
	return candles[len(candles)-1], nil
}

func (m *memory) SaveModel(
	_ context.Context, record Model, content []byte, replaces market.Optional[int64],
) (Model, error) {
	if replaces.Valid && replaces.Value != m.inUse(record.Series) {
		return Model{}, market.Errorf(market.Conflict, "model %d is in use", m.inUse(record.Series))
	}
	record.Bytes = int64(len(content))
	k := slices.IndexFunc(m.models, func(known Model) bool {
		return known.Series == record.Series && known.DataHash == record.DataHash
	})
	if k < 0 {
		k = len(m.models)
		m.models, m.contents = append(m.models, Model{}), append(m.contents, nil)
	}
	record.ID, record.InUseSince = int64(k+1), m.models[k].InUseSince
	m.models[k], m.contents[k] = record, content
	m.order = append(slices.DeleteFunc(m.order, func(id int64) bool { return id == record.ID }), record.ID)
	if replaces.Valid {
		m.use(record)
	}
	return m.models[k], nil
}

// use puts a model to use.
func (m *memory) use(record Model) {
	for k := range m.models {
		if m.models[k].Series == record.Series {
			m.models[k].InUseSince = market.Optional[time.Time]{Value: start, Valid: m.models[k].ID == record.ID}
		}
	}
}

// inUse returns the ID of the model in use, 0 where there is none.
func (m *memory) inUse(series market.Series) int64 {
	return 1 + int64(slices.IndexFunc(m.models, func(known Model) bool {
		return known.Series == series && known.InUseSince.Valid
	}))
}

func (m *memory) CurrentModel(_ context.Context, series market.Series, learntBy time.Time) (Model, error) {
	id := m.inUse(series)
	if id != 0 && !learntBy.IsZero() && m.models[id-1].Window.End.After(learntBy) {
		id = 0
		for _, earlier := range m.order {
			known := m.models[earlier-1]
			if known.Series == series && m.contents[earlier-1] != nil && known.Verdict.Promoted && !known.Window.End.After(learntBy) &&
				(id == 0 || !known.Window.End.Before(m.models[id-1].Window.End)) {
				id = earlier
			}
		}
	}
	if id == 0 {
		return Model{}, market.Errorf(market.NotFound, "no model of %s", series)
	}
	return m.models[id-1], nil
}

func (m *memory) Model(_ context.Context, id int64) (Model, error) {
	if id < 1 || id > int64(len(m.models)) {
		return Model{}, market.Errorf(market.NotFound, "no model %d", id)
	}
	return m.models[id-1], nil
}

func (m *memory) Models(_ context.Context, series market.Series) ([]Model, error) {
	var models []Model
	for _, id := range slices.Backward(m.order) {
		if m.models[id-1].Series == series {
			models = append(models, m.models[id-1])
		}
	}
	return models, nil
}

func (m *memory) ModelContent(_ context.Context, id int64) ([]byte, error) {
	if m.contents[id-1] == nil {
		return nil, market.Errorf(market.Conflict, "model %d was pruned", id)
	}
	return m.contents[id-1], nil
}

func (m *memory) PromoteModel(ctx context.Context, id int64, _ string) (Model, error) {
	if _, err := m.ModelContent(ctx, id); err != nil {
		return Model{}, err
	}
	m.use(m.models[id-1])
	return m.models[id-1], nil
}

func (m *memory) PruneModels(_ context.Context, series market.Series, keep int) error {
	for _, id := range slices.Backward(m.order) {
		if m.models[id-1].Series != series || m.contents[id-1] == nil {
			continue
		}
		if keep--; keep < 0 && m.inUse(series) != id {
			m.contents[id-1], m.models[id-1].Bytes = nil, 0
		}
	}
	return nil
}
