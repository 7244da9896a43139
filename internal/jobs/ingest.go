package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/settings"
)

// SettingsReader tells the settings that hold.
type SettingsReader interface {
	Get(ctx context.Context) (settings.Settings, error)
}

// Backfiller makes stored candles complete and true; *history.Backfiller does.
type Backfiller interface {
	Plan(ctx context.Context, request history.BackfillRequest) (history.BackfillPlan, error)
	Run(ctx context.Context, plan history.BackfillPlan, report func(history.BackfillProgress)) (history.BackfillReport, error)
	Reconcile(ctx context.Context, stored history.StoredCandles, request history.ReconcileRequest,
		report func(history.Difference), progress func(history.ReconcileReport)) (history.ReconcileReport, error)
}

// IngestStore is what an ingest asks of what is stored.
type IngestStore interface {
	history.StoredCandles
	// Catalogue lists the stored series.
	Catalogue(ctx context.Context) (history.Catalogue, error)
}

// CoinStore keeps characteristics of coins.
type CoinStore interface {
	history.CoinWriter
	// Coins returns what is known of every coin as of the latest instant.
	Coins(ctx context.Context) ([]market.Coin, error)
}

// IngestConfig is what an ingest works with.
type IngestConfig struct {
	Settings SettingsReader
	// Claim makes sure that the exchange has the kind of candles that is stored; it is
	// called before anything is written.
	Claim      func(ctx context.Context) error
	Backfiller Backfiller
	Stored     IngestStore
	Coins      history.CoinSource
	CoinStore  CoinStore
	// Mended is called with candles of the last day that were stored since the run
	// began, oldest first, also where the run failed after that. It may be called with
	// some that another process has stored meanwhile. nil is not called.
	Mended func(series market.Series, candles []market.Candle)
	// Ingested is called after the candles of a series are complete.
	Ingested func(ctx context.Context, series market.Series) error
	Now      func() time.Time
	Log      *slog.Logger
}

type ingest struct {
	IngestConfig
	mutex sync.Mutex
	asked askedCoins // what coins were asked for last
}

// askedCoins says what became of asking for coins.
type askedCoins struct {
	ids []string
	at  time.Time
	err error
}

// NewIngest returns the work of ingest: coins, candles up to now, repair of gaps, and
// a comparison of the last day's candles with the exchange's. One run does all that was
// missed before. Coins that cannot be had keep no candles away, but fail the run at its
// end. A task that wants a range fetches just that, and asks again for what the exchange
// was confirmed not to have.
func NewIngest(config IngestConfig) Work { return (&ingest{IngestConfig: config}).do }

const (
	// coinsAge is how old characteristics of coins may be. One call asks for all of
	// them, so that only the first of many symbols' runs does.
	coinsAge = 10 * time.Minute
	// coinsAgain is how long a source of coins that failed is not asked again: its
	// calls are few, and those that fail count.
	coinsAgain = 30 * time.Second
	// comparedBack is how far back candles are compared with the exchange's: it
	// corrects some after they closed.
	comparedBack = 24 * time.Hour
)

func (w *ingest) do(ctx context.Context, task Task) (Report, error) {
	report := Report{}
	s, err := w.Settings.Get(ctx)
	if err != nil {
		return report, err
	}
	coinsErr := w.refreshCoins(ctx, s.CoinIDs, report)
	if coinsErr != nil {
		w.Log.WarnContext(ctx, "coins could not be brought up to date", slog.Any("error", coinsErr))
		// The code is the candles' to decide: a coin that is not known is asked for again.
		coinsErr = fmt.Errorf("coins: %s", market.ErrorMessage(coinsErr))
	}
	series := market.Series{Symbol: task.Symbol, Interval: s.Ingestion.Interval}
	err = w.tellingMended(ctx, series, report, func() error {
		if err := w.Claim(ctx); err != nil {
			return err
		}
		if task.Wanted != (market.TimeRange{}) {
			return w.backfill(ctx, history.BackfillRequest{Series: series, Wanted: task.Wanted, Recheck: true}, report)
		}
		return w.bringUpToDate(ctx, series, market.TimeRange{Start: s.Ingestion.Start, End: s.Ingestion.End}, report)
	})
	return report, errors.Join(err, coinsErr)
}

// bringUpToDate makes all that is stored of a symbol complete, and the wanted range of
// one series.
func (w *ingest) bringUpToDate(ctx context.Context, series market.Series, wanted market.TimeRange, report Report) error {
	if err := w.backfill(ctx, history.BackfillRequest{Series: series, Wanted: wanted}, report); err != nil {
		return err
	}
	if err := w.repair(ctx, series, wanted, report); err != nil {
		return err
	}
	if wanted.End.IsZero() {
		if err := w.compare(ctx, series, wanted.Start, report); err != nil {
			return err
		}
	}
	return w.Ingested(ctx, series)
}

// refreshCoins asks for the coins unless what is stored of all of them is new, or they
// were asked for a moment ago. The runs of all symbols begin at the same time.
func (w *ingest) refreshCoins(ctx context.Context, ids []string, report Report) error {
	if len(ids) == 0 {
		return nil
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	now := w.Now()
	patience := coinsAge
	if w.asked.err != nil {
		patience = coinsAgain
	}
	if ago := now.Sub(w.asked.at); slices.Equal(w.asked.ids, ids) && ago >= 0 && ago < patience {
		return w.asked.err
	}
	stored, err := w.CoinStore.Coins(ctx) // another process may have asked
	if err != nil {
		return err
	}
	isNew := func(id string) bool {
		return slices.ContainsFunc(stored, func(c market.Coin) bool { return c.ID == id && now.Sub(c.AsOf).Abs() < coinsAge })
	}
	if !slices.ContainsFunc(ids, func(id string) bool { return !isNew(id) }) {
		return nil
	}
	news, err := history.RefreshCoins(ctx, w.Coins, w.CoinStore, ids)
	report["coins_new"] += news
	if ctx.Err() != nil {
		return err
	}
	w.asked = askedCoins{ids: ids, at: now, err: err}
	if market.ErrorCode(err) == market.NotFound {
		w.asked.err = nil // those that are known were had, and once is enough to say so
	}
	return err
}

// tellingMended calls Mended with what do has stored of the last day.
func (w *ingest) tellingMended(ctx context.Context, series market.Series, report Report, do func() error) error {
	if w.Mended == nil {
		return do()
	}
	recent := market.TimeRange{Start: w.Now().Add(-comparedBack), End: w.Now().Add(comparedBack)}
	read := func() ([]market.Candle, error) {
		candles, err := w.Stored.StoredCandles(ctx, series, recent, math.MaxInt32)
		if err != nil {
			err = fmt.Errorf("read the newest candles of %s: %w", series, err)
		}
		return candles, err
	}
	before, err := read()
	if err != nil {
		return err
	}
	err = do()
	if ctx.Err() != nil || report["candles_new"]+report["candles_corrected"] == 0 {
		return err
	}
	after, readErr := read()
	known := map[time.Time]market.Candle{}
	for _, c := range before {
		known[c.OpenTime] = c
	}
	mended := slices.DeleteFunc(after, func(c market.Candle) bool {
		old, was := known[c.OpenTime]
		return was && old == c
	})
	if len(mended) > 0 {
		w.Mended(series, mended)
	}
	return errors.Join(err, readErr)
}

func (w *ingest) backfill(ctx context.Context, request history.BackfillRequest, report Report) error {
	plan, err := w.Backfiller.Plan(ctx, request)
	if market.ErrorCode(err) == market.NotFound {
		return market.Errorf(market.NotFound, "the exchange does not know %s: take it out of the setting symbols, on the page Settings or by cryptoboat settings symbols",
			request.Series.Symbol)
	}
	if err != nil {
		return fmt.Errorf("plan the ingest of %s: %w", request.Series, err)
	}
	told := w.Now()
	done, err := w.Backfiller.Run(ctx, plan, func(p history.BackfillProgress) {
		if now := w.Now(); now.Sub(told) >= progressEvery {
			told = now
			w.Log.InfoContext(ctx, "ingesting", slog.String("series", request.Series.String()),
				slog.Int("pages", p.Pages), slog.Int("of", len(plan.Pages)), slog.Time("at", p.Page.Start))
		}
	})
	report["candles_new"] += done.New
	report["candles_corrected"] += done.Corrected
	if done.StayPending > 0 {
		w.Log.InfoContext(ctx, "the exchange has no candle at some places: it is asked again until it has said so several times",
			slog.String("series", request.Series.String()), slog.Int64("places", done.StayPending))
	}
	if err != nil {
		return fmt.Errorf("ingest %s: %w", request.Series, err)
	}
	return nil
}

// progressEvery is how often long work says how far it has come.
const progressEvery = 10 * time.Second

// repair fills the gaps between the stored candles of the symbol's series, where the
// ingest has not. It makes none longer: nobody asked for that.
func (w *ingest) repair(ctx context.Context, done market.Series, wanted market.TimeRange, report Report) error {
	stored, err := w.Stored.Catalogue(ctx)
	if err != nil {
		return err
	}
	for _, s := range stored {
		if s.Symbol != done.Symbol {
			continue
		}
		between := market.TimeRange{Start: s.First, End: s.Interval.Next(s.Last)}
		if s.Series == done && !between.Start.Before(wanted.Start) && (wanted.End.IsZero() || !between.End.After(wanted.End)) {
			continue
		}
		if err := w.backfill(ctx, history.BackfillRequest{Series: s.Series, Wanted: between}, report); err != nil {
			return err
		}
	}
	return nil
}

// compare mends what the exchange has otherwise by now.
func (w *ingest) compare(ctx context.Context, series market.Series, start time.Time, report Report) error {
	if dayAgo := w.Now().Add(-comparedBack); start.Before(dayAgo) {
		start = dayAgo
	}
	request := history.ReconcileRequest{Series: series, Wanted: market.TimeRange{Start: start}, Mend: true}
	compared, err := w.Backfiller.Reconcile(ctx, w.Stored, request, func(history.Difference) {}, func(history.ReconcileReport) {})
	report["candles_new"] += compared.New
	report["candles_corrected"] += compared.Corrected
	if compared.Unknown > 0 {
		w.Log.WarnContext(ctx, "candles are stored that the exchange does not know", slog.String("series", series.String()),
			slog.Int64("candles", compared.Unknown), slog.Time("start", compared.Compared.Start), slog.Time("end", compared.Compared.End))
	}
	if err != nil {
		return fmt.Errorf("compare %s: %w", series, err)
	}
	return nil
}
