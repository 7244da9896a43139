package settings

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Kind says what kind of value a setting has.
type Kind string

// The kinds.
const (
	List     Kind = "list"     // with commas between
	Instant  Kind = "instant"  // RFC 3339, or a day
	Interval Kind = "interval" // one of Binance's names
	Seconds  Kind = "seconds"
	Share    Kind = "share" // of the price
	Schedule Kind = "schedule"
)

// Definition says what a setting is.
type Definition struct {
	Name        Name   `json:"name"`
	Kind        Kind   `json:"kind"`
	Description string `json:"description"`
	Accepts     string `json:"accepts"`
	Default     string `json:"default"`
	// set reads a value into the settings and returns it as it is kept.
	set func(*Settings, string) (string, error)
}

// Definitions returns every setting in the order that people read them in.
func Definitions() []Definition { return slices.Clone(definitions) }

func definitionOf(name Name) (Definition, error) {
	for _, d := range definitions {
		if d.Name == name {
			return d, nil
		}
	}
	names := make([]string, len(definitions))
	for i, d := range definitions {
		names[i] = string(d.Name)
	}
	return Definition{}, market.Errorf(market.NotFound, "there is no such setting; there are %s", strings.Join(names, ", "))
}

const (
	mostSymbols   = 500
	mostCoins     = 250 // that one call of CoinGecko's answers
	mostTextBytes = 10_000
	// firstCandle is when the first pairs were listed.
	firstCandle = "2017-08-17T04:00:00Z"
)

const (
	acceptsInstant    = "an instant such as 2024-01-01T00:00:00Z, or a day such as 2024-01-01, in UTC"
	acceptsEnd        = acceptsInstant + "; empty means up to now"
	acceptsSchedule   = "a cron specification in UTC of five fields, or six with the seconds first, at most once a minute"
	acceptsShare      = "a share of the price from 0 to 0.1, such as 0.001 for a tenth of a per cent"
	acceptsIntervals  = "1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h, 1d, 3d, 1w or 1M"
	acceptsForecastIn = "an interval of at most a day, such as 15m"
)

var definitions = []Definition{
	{Symbols, List, "The pairs that are ingested, followed and trained.", "1 to 500 of the exchange's symbols with commas between", "BTCUSDT,ETHUSDT", setSymbols},
	{CoinIDs, List, "The coins whose characteristics are kept.", "up to 250 of CoinGecko's ids with commas between; empty for none", "bitcoin,ethereum", setCoins},
	{IngestionStart, Instant, "The first candle that is ingested.", acceptsInstant, firstCandle, instant(func(s *Settings) *time.Time { return &s.Ingestion.Start }, false)},
	{IngestionEnd, Instant, "The end of what is ingested, exclusive.", acceptsEnd, "", instant(func(s *Settings) *time.Time { return &s.Ingestion.End }, true)},
	{IngestionInterval, Interval, "The length of the candles that are ingested.", acceptsIntervals, "15m", interval(func(s *Settings) *market.Interval { return &s.Ingestion.Interval })},
	{TrainStart, Instant, "The first candle that models learn from.", acceptsInstant, firstCandle, instant(func(s *Settings) *time.Time { return &s.Training.Start }, false)},
	{TrainEnd, Instant, "The end of what models learn from, exclusive.", acceptsEnd, "", instant(func(s *Settings) *time.Time { return &s.Training.End }, true)},
	{TrainInterval, Interval, "The length of the candles that are forecast.", acceptsForecastIn, "15m", forecastInterval},
	{StreamInterval, Interval, "The length of the candles that are followed live.", acceptsIntervals, "15m", interval(func(s *Settings) *market.Interval { return &s.StreamInterval })},
	{SampleSeconds, Seconds, "How often the live price is sampled into the database.", "whole seconds that divide a minute, from 1 to 60", "5", setSample},
	{Fee, Share, "What a trade costs, paid at its beginning and at its end; decisions reckon with it.", acceptsShare, "0.001", share(func(s *Settings) *float64 { return &s.Fee })},
	{Spread, Share, "The distance of the best bid and the best ask; decisions reckon with it.", acceptsShare, "0.0001", share(func(s *Settings) *float64 { return &s.Spread })},
	{IngestSchedule, Schedule, "When candles and coins are brought up to date: seconds after candles close.", acceptsSchedule, "7 */15 * * * *", schedule(func(s *Settings) *string { return &s.IngestSchedule })},
	{TrainSchedule, Schedule, "When models are trained.", acceptsSchedule, "17 1 2 1 * *", schedule(func(s *Settings) *string { return &s.TrainSchedule })},
	{ScoreSchedule, Schedule, "When forecasts are scored that were not when their candle closed.", acceptsSchedule, "37 */5 * * * *", schedule(func(s *Settings) *string { return &s.ScoreSchedule })},
	{MaintainSchedule, Schedule, "When the database is tidied up.", acceptsSchedule, "23 41 3 * * *", schedule(func(s *Settings) *string { return &s.MaintainSchedule })},
	{OpenAccess, List, "What is open to those who have not logged in.", "any of health, docs, market_data, forecasts and pages with commas between; empty closes all", "health,docs,market_data,forecasts,pages", setOpen},
}

// list splits a text with commas and refuses what stands there twice.
func list(text string) ([]string, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	items := strings.Split(text, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
		if items[i] == "" {
			return nil, market.Errorf(market.Invalid, "there is nothing between two commas")
		}
		if slices.Contains(items[:i], items[i]) {
			return nil, market.Errorf(market.Invalid, "an entry stands there twice")
		}
	}
	return items, nil
}

func setSymbols(s *Settings, text string) (string, error) {
	names, err := list(strings.ToUpper(text))
	if err != nil {
		return "", err
	}
	if len(names) < 1 || len(names) > mostSymbols {
		return "", market.Errorf(market.Invalid, "there must be 1 to %d symbols", mostSymbols)
	}
	symbols := make([]market.Symbol, len(names))
	for i, name := range names {
		if symbols[i], err = market.ParseSymbol(name); err != nil {
			return "", err
		}
	}
	s.Symbols = symbols
	return strings.Join(names, ","), nil
}

var wellFormedCoin = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,99}$`)

func setCoins(s *Settings, text string) (string, error) {
	ids, err := list(text)
	if err != nil {
		return "", err
	}
	if len(ids) > mostCoins {
		return "", market.Errorf(market.Invalid, "there must be at most %d coins", mostCoins)
	}
	for _, id := range ids {
		if !wellFormedCoin.MatchString(id) {
			return "", market.Errorf(market.Invalid, "a coin must be one of CoinGecko's ids, such as bitcoin")
		}
	}
	s.CoinIDs = ids
	return strings.Join(ids, ","), nil
}

func setOpen(s *Settings, text string) (string, error) {
	names, err := list(text)
	if err != nil {
		return "", err
	}
	areas := make([]Area, len(names))
	for i, name := range names {
		areas[i] = Area(name)
		if !slices.Contains(Areas, areas[i]) {
			return "", market.Errorf(market.Invalid, "there is no such area; there are health, docs, market_data, forecasts and pages")
		}
	}
	s.Open = areas
	return strings.Join(names, ","), nil
}

// Instants that no market reaches are slips of the pen.
var (
	earliest = time.Date(2009, time.January, 3, 0, 0, 0, 0, time.UTC) // the first block of the first coin
	latest   = time.Date(2100, time.January, 1, 0, 0, 0, 0, time.UTC)
)

func instant(of func(*Settings) *time.Time, mayBeEmpty bool) func(*Settings, string) (string, error) {
	return func(s *Settings, text string) (string, error) {
		text = strings.TrimSpace(text)
		if text == "" && mayBeEmpty {
			*of(s) = time.Time{}
			return "", nil
		}
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			at, err = time.Parse(time.DateOnly, text)
		}
		if err != nil || at.Before(earliest) || at.After(latest) {
			return "", market.Errorf(market.Invalid, "give %s, from 2009 to 2100", acceptsInstant)
		}
		*of(s) = at.UTC()
		return at.UTC().Format(time.RFC3339Nano), nil // which has no fraction where there is none
	}
}

func interval(of func(*Settings) *market.Interval) func(*Settings, string) (string, error) {
	return func(s *Settings, text string) (string, error) {
		parsed, err := market.ParseInterval(strings.TrimSpace(text))
		if err != nil {
			return "", err
		}
		*of(s) = parsed
		return string(parsed), nil
	}
}

func forecastInterval(s *Settings, text string) (string, error) {
	parsed, err := interval(func(s *Settings) *market.Interval { return &s.Training.Interval })(s, text)
	if err == nil && s.Training.Interval.Next(afterLeapDay).After(afterLeapDay.AddDate(0, 0, 1)) {
		return "", market.Errorf(market.Invalid, "give %s", acceptsForecastIn)
	}
	return parsed, err
}

func setSample(s *Settings, text string) (string, error) {
	seconds, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || seconds < 1 || seconds > 60 || 60%seconds != 0 {
		return "", market.Errorf(market.Invalid, "give whole seconds that divide a minute, from 1 to 60")
	}
	s.SampleEvery = time.Duration(seconds) * time.Second
	return strconv.Itoa(seconds), nil
}

func share(of func(*Settings) *float64) func(*Settings, string) (string, error) {
	return func(s *Settings, text string) (string, error) {
		value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || !(value >= 0 && value <= 0.1) {
			return "", market.Errorf(market.Invalid, "give %s", acceptsShare)
		}
		value = max(value, 0) // not -0
		*of(s) = value
		return strconv.FormatFloat(value, 'f', -1, 64), nil
	}
}

func schedule(of func(*Settings) *string) func(*Settings, string) (string, error) {
	return func(s *Settings, text string) (string, error) {
		text = strings.Join(strings.Fields(text), " ")
		if _, err := ParseSchedule(text); err != nil {
			return "", err
		}
		*of(s) = text
		return text, nil
	}
}

// ranges are the settings that must fit together.
var ranges = []struct {
	start, end Name
	of         func(Settings) Range
}{
	{IngestionStart, IngestionEnd, func(s Settings) Range { return s.Ingestion }},
	{TrainStart, TrainEnd, func(s Settings) Range { return s.Training }},
}

// parse returns the settings that changed values make, and what is wrong with them by
// name. The default holds in place of what is not there and of what is wrong.
func parse(values map[Name]string) (Settings, map[Name]error) {
	var s Settings
	problems := map[Name]error{}
	for _, d := range definitions {
		value, changed := values[d.Name]
		if !changed {
			value = d.Default
		}
		if _, err := d.set(&s, value); err != nil {
			problems[d.Name] = named(d.Name, err)
			d.reset(&s)
		}
	}
	for _, r := range ranges {
		wanted := r.of(s)
		if wanted.End.IsZero() || wanted.Start.Before(wanted.End) {
			continue
		}
		problems[r.start] = market.Errorf(market.Invalid, "%s must be before %s", r.start, r.end)
		problems[r.end] = market.Errorf(market.Invalid, "%s must be after %s", r.end, r.start)
		for _, d := range definitions {
			if d.Name == r.start || d.Name == r.end {
				d.reset(&s)
			}
		}
	}
	return s, problems
}

// parse returns a value as it is kept, or an Invalid error that names the setting.
func (d Definition) parse(value string) (string, error) {
	if len(value) > mostTextBytes {
		return "", market.Errorf(market.Invalid, "%s: the value is longer than %d bytes", d.Name, mostTextBytes)
	}
	kept, err := d.set(new(Settings), value)
	if err != nil {
		return "", named(d.Name, err)
	}
	return kept, nil
}

// reset puts the default into the settings.
func (d Definition) reset(s *Settings) {
	if _, err := d.set(s, d.Default); err != nil {
		panic(err) // the definitions are tested
	}
}

// named adds to what is wrong with a value of which setting.
func named(name Name, err error) error {
	return market.Errorf(market.ErrorCode(err), "%s: %s", name, market.ErrorMessage(err))
}
