package simulator

import (
	"math"
	"slices"
	"sync"
	"time"
)

// A generated pair's prices are whole cents, its volumes whole lots of 10⁻⁵.
const (
	cent = unit / 100
	lot  = unit / 100_000
	// centLot is what a lot costs at the price of a cent.
	centLot = cent * lot / unit
)

var generatedGrain = grain{price: cent, volume: lot}

const (
	minuteLength = int64(time.Minute / time.Millisecond)
	dayLength    = minutesOfDay * minuteLength
)

// generatedPair makes a pair's days, each from random numbers of its own.
type generatedPair struct {
	Pair
	character
	climate *climate
	listed  int64 // milliseconds since 1970
	levels  func() []float64
	// seeds of the pair's own random numbers
	swingSeed, minuteSeed, detailSeed, pathSeed uint64
}

func newGeneratedPair(c *climate, p Pair) *generatedPair {
	seed := seedOf(c.seed, string(p.Symbol))
	character := characterOf(p.Symbol, seed)
	return &generatedPair{
		Pair:       p,
		character:  character,
		climate:    c,
		listed:     p.Listed.UnixMilli(),
		levels:     sync.OnceValue(func() []float64 { return c.levels(character, seed) }),
		swingSeed:  seedOf(seed, "swings"),
		minuteSeed: seedOf(seed, "minutes"),
		detailSeed: seedOf(seed, "details"),
		pathSeed:   seedOf(seed, "path"),
	}
}

// cents returns the price at the beginning of a day.
func (p *generatedPair) cents(day int) int64 {
	return max(1, int64(float64(p.price*100*exp(p.levels()[day]))+0.5))
}

// weather is what the minutes of a quarter of an hour have in common.
type weather struct {
	volatility float64 // standard deviation of a minute's log return
	variance   float64 // its square
	turnover   float64 // expected quote volume of a minute, in cents
}

// weather returns that of each quarter of a day.
func (p *generatedPair) weather(day int) *[quartersOfDay]weather {
	const (
		commonSwing, ownSwing = 0.34, 0.22 // standard deviations of log volatility
		// Turnover follows volatility, less than in proportion.
		elasticity = 0.9
		// In the beginning a thirtieth is traded of what is traded in the long run.
		youth, maturity = 3.4, 1.5 * daysOfYear
	)
	common := p.climate.swings(p.climate.swingSeed, day)
	own := p.climate.swings(p.swingSeed, day)
	grown := exp(-youth * exp(-float64(day)/maturity))
	minute := p.volatility / math.Sqrt(minutesOfDay) * volatilityOfWeek[weekday(day)]
	turnover := p.quoteVolume * 100 / minutesOfDay * grown * quoteVolumeOfWeek[weekday(day)]
	var quarters [quartersOfDay]weather
	for q := range quarters {
		swing := p.climate.tide(day, q) + float64(commonSwing*common[q]) + float64(ownSwing*own[q]) -
			(commonSwing*commonSwing + ownSwing*ownSwing)
		hour := q / (quartersOfDay / 24)
		volatility := minute * volatilityOfDay[hour] * exp(swing)
		quarters[q] = weather{
			volatility: volatility,
			variance:   float64(volatility * volatility),
			turnover:   turnover * quoteVolumeOfDay[hour] * exp(elasticity*swing),
		}
	}
	return &quarters
}

// tide returns the logarithm of volatility at a quarter of a day: in the middle
// of a day it is the day's, and it changes evenly in between, so that midnight
// does not show.
func (c *climate) tide(day, q int) float64 {
	later := (float64(q)+0.5)/quartersOfDay - 0.5 // than noon, in days
	neighbour := day + 1
	if later < 0 {
		later, neighbour = -later, day-1
	}
	neighbour = min(max(neighbour, 0), generatedDays-1)
	return c.volatility[day] + float64(later*(c.volatility[neighbour]-c.volatility[day]))
}

// swings returns a process with a variance of about one that forgets half in
// three hours, at each quarter of a day. It goes on from day to day: each begins
// with the first random number of its own, and is bent towards that of the next
// as an Ornstein-Uhlenbeck bridge is.
func (c *climate) swings(seed uint64, day int) *[quartersOfDay]float64 {
	const memory = 0.9439 // 2^(-1/12)
	random := stream(seed, int64(day))
	fresh := math.Sqrt(1 - float64(memory*memory))
	var path [quartersOfDay]float64
	state := c.shock.at(random.Uint64())
	for q := range path {
		path[q] = state
		state = float64(memory*state) + float64(fresh*c.shock.at(random.Uint64()))
	}
	next := stream(seed, int64(day)+1)
	miss := c.shock.at(next.Uint64()) - state
	for q := quartersOfDay - 1; q >= 0; q-- {
		miss = float64(miss * memory)
		path[q] += miss
	}
	return &path
}

// fillShocks fills minutes with returns in standard deviations, most of them mild.
// In a quarter of an hour in 64 one minute jumps, as news makes it, by more than
// the other minutes together.
func (c *climate) fillShocks(minutes *[minutesOfDay]float64, seed uint64, day int) {
	const perDraw = 64 / quantileBits
	random := stream(seed, int64(day))
	var bits uint64
	for m := range minutes {
		if m%perDraw == 0 {
			bits = random.Uint64()
		}
		minutes[m] = c.shock.at(bits)
		bits >>= quantileBits
	}
	for q := range quartersOfDay {
		bits := random.Uint64()
		if bits%64 != 0 {
			continue
		}
		size := 1.6 * math.Sqrt(quarter) * c.wait.at(bits>>6)
		if bits>>63 == 0 {
			size = -size
		}
		minutes[q*quarter+int(bits>>32%quarter)] += size
	}
}

// workspace is the room that making a day takes.
type workspace struct {
	common, own [minutesOfDay]float64 // shocks
	bars        [minutesOfDay]bar
}

// fill makes the minutes of a day: the bars of those in which the pair is
// traded. They are the workspace's, good until it is filled again.
//
// The returns have the volatility of their quarter of an hour and are then
// shifted, each in proportion to its variance, so that they lead from the day's
// first price to the next day's. That leaves no trace in them: a Brownian bridge
// to an end that is normally distributed is a Brownian motion.
func (s *workspace) fill(p *generatedPair, day int) []bar {
	quarters, levels := p.weather(day), p.levels()
	p.climate.fillShocks(&s.common, p.climate.minuteSeed, day)
	p.climate.fillShocks(&s.own, p.minuteSeed, day)
	ownShare := math.Sqrt(1 - float64(p.common*p.common))
	var sum, variance float64
	for m := range minutesOfDay {
		w := &quarters[m/quarter]
		s.own[m] = float64(w.volatility * (float64(p.common*s.common[m]) + float64(ownShare*s.own[m])))
		sum += s.own[m]
		variance += w.variance
	}
	drift := (levels[day+1] - levels[day] - sum) / variance

	random := stream(p.detailSeed, int64(day))
	start := generatedStart.UnixMilli() + int64(day)*dayLength
	idle := outagesOn(start, start+dayLength)
	base := p.price * 100 * exp(levels[day])
	level, price := 0.0, p.cents(day)
	bars := s.bars[:0]
	for m := range minutesOfDay {
		w := &quarters[m/quarter]
		move := s.own[m] + float64(drift*w.variance)
		level += move
		open := price
		price = max(1, int64(float64(base*exp(level))+0.5))
		if m == minutesOfDay-1 {
			price = p.cents(day + 1)
		}
		bits := random.Uint64() // also where nothing is traded: an outage changes no other minute
		openTime := start + int64(m)*minuteLength
		if openTime >= p.listed && !slices.ContainsFunc(idle, func(o outage) bool { return o.start <= openTime && openTime < o.end }) {
			bars = append(bars, p.minute(w, openTime, open, price, move, bits))
		}
	}
	return bars
}

// minute makes the bar of a minute in which the price goes from open to close, in
// cents, by move, its log return.
func (p *generatedPair) minute(w *weather, openTime, open, close int64, move float64, bits uint64) bar {
	// The highest value of a Brownian bridge above the higher of its ends, from
	// the exponential distribution (Glasserman 2003, section 6.4).
	beyond := func(wait float64) int64 {
		log := (math.Sqrt(float64(move*move)+float64(2*w.variance*wait)) - math.Abs(move)) / 2
		return int64(float64(float64(open)*log) + 0.5)
	}
	high := max(open, close) + beyond(p.climate.wait.at(bits))
	low := max(1, min(open, close)-beyond(p.climate.wait.at(bits>>10)))

	// More is traded where more moves, and takers mostly buy what rises.
	size := move / w.volatility
	turnover := w.turnover * (0.6 + float64(0.5*math.Abs(size))) * p.climate.spread.at(bits>>20)
	chance := float64(bits>>30%1024) / 1024
	taken := 0.32 + float64(0.35*chance) + float64(0.06*min(max(size, -3), 3))

	// Takers buy at the ask and sell at the bid, a cent below where there is room.
	ask := (open + high + low + close) / 4
	bid := max(low, ask-1)
	lots := 1 + int64(turnover/float64(ask)*(unit/lot))
	bought := int64(float64(lots) * taken)
	return bar{
		openTime: openTime,
		open:     open * cent, high: high * cent, low: low * cent, close: close * cent,
		volume:              lots * lot,
		quoteVolume:         (bought*ask + (lots-bought)*bid) * centLot,
		takerBuyVolume:      bought * lot,
		takerBuyQuoteVolume: bought * ask * centLot,
		trades:              1 + int64(turnover/100/p.tradeSize*(0.5+chance)),
	}
}
