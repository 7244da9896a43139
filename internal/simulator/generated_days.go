package simulator

import (
	"math"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// A generated market reaches from the day of the first listing up to, not
// including, generatedEnd.
var (
	generatedStart = market.Day1.Floor(history.FirstListing)
	generatedEnd   = time.Date(2036, time.January, 1, 0, 0, 0, 0, time.UTC)
	generatedDays  = int(generatedEnd.Sub(generatedStart) / (24 * time.Hour))
)

const (
	minutesOfDay  = 24 * 60
	quartersOfDay = 24 * 4
	quarter       = minutesOfDay / quartersOfDay // minutes
	daysOfYear    = 365.25
)

// climate is what all pairs of a generated market share.
type climate struct {
	distributions
	seed                  uint64
	swingSeed, minuteSeed uint64
	// volatility is the logarithm of each day's volatility in relation to the
	// long run's, scaled so that the variance is one on average.
	volatility []float64
	// shocks are the common part of each day's return, in standard deviations.
	shocks []float64
}

func newClimate(seed uint64) *climate {
	c := &climate{
		distributions: newDistributions(),
		seed:          seed,
		swingSeed:     seedOf(seed, "swings"),
		minuteSeed:    seedOf(seed, "minutes"),
		volatility:    make([]float64, generatedDays),
		shocks:        make([]float64, generatedDays),
	}
	// Volatility clusters over quarters, weeks and days at once, which is what HAR
	// models of it rest on (Corsi 2009): a sum of three processes that forget at
	// these paces.
	tides := [...]struct{ memory, deviation, state float64 }{
		{memory: 0.99, deviation: 0.25}, {memory: 0.92, deviation: 0.30}, {memory: 0.5, deviation: 0.30},
	}
	days := stream(seedOf(seed, "days"), 0)
	for day := range generatedDays {
		for k := range tides {
			tide := &tides[k]
			fresh := tide.deviation * math.Sqrt(1-float64(tide.memory*tide.memory))
			tide.state = float64(tide.memory*tide.state) + float64(fresh*c.shock.at(days.Uint64()))
			c.volatility[day] += tide.state - float64(tide.deviation*tide.deviation)
		}
		c.shocks[day] = c.shock.at(days.Uint64())
	}
	return c
}

// character is what distinguishes a generated pair.
type character struct {
	price       float64 // at the listing, in the quote asset
	growth      float64 // of the logarithm of the price, in the long run
	volatility  float64 // of a day, in the long run
	common      float64 // correlation of its returns with the common ones
	quoteVolume float64 // of a day, in the long run
	tradeSize   float64 // mean, in the quote asset
}

// characterOf returns one that resembles the real pair, or one made up from the
// seed.
func characterOf(symbol market.Symbol, seed uint64) character {
	switch symbol {
	case "BTCUSDT":
		return character{price: 4261.48, growth: 2.8, volatility: 0.025, common: 0.92, quoteVolume: 2.4e9, tradeSize: 830}
	case "ETHUSDT":
		return character{price: 301.13, growth: 2.2, volatility: 0.032, common: 0.88, quoteVolume: 1.1e9, tradeSize: 630}
	}
	random := stream(seedOf(seed, "character"), 0)
	return character{
		price:       20 * exp(float64(4.6*uniform(&random))), // 20 to 2000
		growth:      2 * uniform(&random),
		volatility:  0.03 + float64(0.03*uniform(&random)),
		common:      0.6 + float64(0.3*uniform(&random)),
		quoteVolume: 1e7 * exp(float64(3*uniform(&random))), // 10 to 200 million
		tradeSize:   100 + float64(400*uniform(&random)),
	}
}

// levels returns the logarithm of a pair's price at the beginning of each day,
// and at the end of the last one, in relation to the price at its listing.
func (c *climate) levels(character character, seed uint64) []float64 {
	// The price returns to a trend within about a year, and no day moves it by
	// more than half, so that it stays where prices make sense.
	const (
		pull     = 1.0 / 250
		worst    = 0.5
		maturity = 3 * daysOfYear
	)
	own := math.Sqrt(1 - float64(character.common*character.common))
	days := stream(seedOf(seed, "days"), 0)
	levels := make([]float64, generatedDays+1)
	for day := range generatedDays {
		trend := float64(character.growth * (1 - exp(-float64(day)/maturity)))
		shock := float64(character.common*c.shocks[day]) + float64(own*c.shock.at(days.Uint64()))
		volatility := character.volatility * exp(c.volatility[day]) * volatilityOfWeek[weekday(day)]
		move := float64(volatility*shock) + float64(pull*(trend-levels[day]))
		levels[day+1] = levels[day] + min(max(move, -worst), worst)
	}
	return levels
}

// weekday counts from Monday, 0.
func weekday(day int) int { return (day + int(generatedStart.Weekday()) + 6) % 7 }

// The seasons of the day by the hour, UTC, and of the week from Monday on:
// factors of volatility and of quote volume, as measured on 15m candles of
// BTCUSDT and ETHUSDT from 2023 to 2025.
var (
	volatilityOfDay = [24]float64{
		1.07, 1.17, 0.95, 0.77, 0.71, 0.71, 0.79, 0.78, 0.83, 0.79, 0.76, 0.76,
		0.96, 1.16, 1.35, 1.23, 1.17, 1.20, 1.06, 1.09, 1.07, 1.19, 1.12, 0.85,
	}
	quoteVolumeOfDay = [24]float64{
		0.97, 0.97, 0.89, 0.76, 0.69, 0.70, 0.74, 0.88, 0.91, 0.87, 0.83, 0.84,
		1.05, 1.30, 1.67, 1.64, 1.38, 1.23, 1.11, 1.09, 1.05, 0.84, 0.81, 0.78,
	}
	volatilityOfWeek  = [7]float64{1.19, 1.08, 1.07, 1.06, 1.03, 0.67, 0.80}
	quoteVolumeOfWeek = [7]float64{1.19, 1.15, 1.15, 1.10, 1.11, 0.60, 0.70}
)
