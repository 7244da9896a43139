// Package settings keeps what can be changed while the service runs: what is
// ingested, trained and followed, when, at which costs, and who may read.
package settings

import (
	"math/bits"
	"slices"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Name is the name of a setting.
type Name string

// The settings. Those of the older service bear its names.
const (
	Symbols           Name = "symbols"
	CoinIDs           Name = "coin_ids"
	IngestionStart    Name = "crypto_data_ingestion_date_start"
	IngestionEnd      Name = "crypto_data_ingestion_date_end"
	IngestionInterval Name = "crypto_data_ingestion_interval"
	TrainStart        Name = "train_model_date_start"
	TrainEnd          Name = "train_model_date_end"
	TrainInterval     Name = "train_model_interval"
	StreamInterval    Name = "websocket_stream_interval"
	SampleSeconds     Name = "websocket_sample_seconds"
	Fee               Name = "decision_fee"
	Spread            Name = "decision_spread"
	IngestSchedule    Name = "ingest_schedule"
	TrainSchedule     Name = "train_schedule"
	ScoreSchedule     Name = "score_schedule"
	MaintainSchedule  Name = "maintain_schedule"
	OpenAccess        Name = "open_access"
)

// Settings are the values that hold.
type Settings struct {
	Symbols   []market.Symbol // followed, each once, at least one
	CoinIDs   []string        // CoinGecko's names of coins whose characteristics are kept
	Ingestion Range
	Training  Range
	// StreamInterval is that of the candles that are followed live.
	StreamInterval market.Interval
	SampleEvery    time.Duration // between samples of the live price, 1 s to 60 s
	Fee, Spread    float64       // shares of the price, 0 to 0.1
	IngestSchedule, TrainSchedule,
	ScoreSchedule, MaintainSchedule string // as ParseSchedule takes them
	Open []Area // what nobody needs to log in for
}

// Range says which candles are meant.
type Range struct {
	Start    time.Time // inclusive
	End      time.Time // exclusive; zero means up to now
	Interval market.Interval
}

// Within returns the range up to now at the latest.
func (r Range) Within(now time.Time) market.TimeRange {
	end := now
	if !r.End.IsZero() && r.End.Before(now) {
		end = r.End
	}
	return market.TimeRange{Start: r.Start, End: end}
}

// Area is a part of the service that may be open to those who have not logged in.
type Area string

// The areas.
const (
	HealthArea    Area = "health"
	DocsArea      Area = "docs"
	MarketArea    Area = "market_data"
	ForecastsArea Area = "forecasts"
	PagesArea     Area = "pages"
)

// Areas are all areas.
var Areas = []Area{HealthArea, DocsArea, MarketArea, ForecastsArea, PagesArea}

// IsOpen reports whether an area is open to those who have not logged in.
func (s Settings) IsOpen(area Area) bool { return slices.Contains(s.Open, area) }

// Defaults are the settings where nobody has changed any.
func Defaults() Settings {
	s, problems := parse(nil)
	for _, problem := range problems {
		panic(problem) // the definitions are tested
	}
	return s
}

// parser reads five fields as any cron does, or six with the seconds first.
var parser = cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

// ParseSchedule returns the schedule that a cron specification in UTC describes: five
// fields, or six with the seconds first. The error is Invalid for one that cannot be
// read, comes true more often than once a minute, or can be two years in coming.
func ParseSchedule(specification string) (cron.Schedule, error) {
	bad := market.Errorf(market.Invalid, "give five fields of cron, or six with the seconds first, such as \"7 */15 * * * *\": in UTC, at most once a minute")
	// All is in UTC here, a zone of its own would only mislead, and the library panics
	// where one stands alone.
	if len(specification) > mostScheduleBytes || slices.Contains([]byte(specification), '=') {
		return nil, bad
	}
	parsed, err := parser.Parse(specification)
	if err != nil {
		return nil, bad
	}
	inUTC, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, bad
	}
	inUTC.Location = time.UTC
	// Every minute that comes true does so at each of the seconds.
	if bits.OnesCount64(inUTC.Second&^anySecond) > 1 {
		return nil, bad
	}
	if next := inUTC.Next(afterLeapDay); next.IsZero() || next.After(afterLeapDay.AddDate(2, 0, 0)) {
		return nil, market.Errorf(market.Invalid, "the schedule does not come true within two years")
	}
	return inUTC, nil
}

const (
	mostScheduleBytes = 100
	// anySecond marks a star in a field of the library's.
	anySecond = 1 << 63
)

// afterLeapDay is when what comes true once in several years is longest in coming.
var afterLeapDay = time.Date(2024, time.March, 1, 0, 0, 0, 0, time.UTC)
