package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// IngestConfig is what an ingest works with.
type IngestConfig struct {
	Settings SettingsReader
	// Claim makes sure that the exchange has the kind of candles that is stored; it is
	// called before anything is written.
	Claim      func(ctx context.Context) error
	Backfiller Backfiller
	Stored     IngestStore
	Coins      history.CoinSource
	CoinStore  history.CoinWriter
	// Ingested is called after the candles of a series are complete.
	Ingested func(ctx context.Context, series market.Series) error
	Now      func() time.Time
	Log      *slog.Logger
}

type ingest struct {
	IngestConfig
	mutex     sync.Mutex
	coinsAsOf time.Time // when coins were last asked for
}

// NewIngest returns the work of ingest: coins, candles up to now, repair of gaps, and
// a comparison of the last day's candles with the exchange's. One run does all that was
// missed before. Coins that cannot be had keep no candles away.
func NewIngest(config IngestConfig) Work { return (&ingest{IngestConfig: config}).do }

const (
	// coinsAge is how old characteristics of coins may be. One call asks for all of
	// them, so that only the first of many symbols' runs does.
	coinsAge = 10 * time.Minute
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
	if err := w.Claim(ctx); err != nil {
		return report, err
	}
	series := market.Series{Symbol: task.Symbol, Interval: s.Ingestion.Interval}
	request := history.BackfillRequest{Series: series, Wanted: market.TimeRange{Start: s.Ingestion.Start, End: s.Ingestion.End}}
	if task.Wanted != (market.TimeRange{}) {
		request.Wanted, request.Recheck = task.Wanted, true
	}
	if err := w.backfill(ctx, request, report); err != nil {
		return report, err
	}
	if request.Recheck {
		return report, coinsErr
	}
	if err := w.repair(ctx, series, report); err != nil {
		return report, err
	}
	if s.Ingestion.End.IsZero() {
		if err := w.compare(ctx, series, report); err != nil {
			return report, err
		}
	}
	return report, errors.Join(coinsErr, w.Ingested(ctx, series))
}

// refreshCoins asks for the coins unless this process did a moment ago.
func (w *ingest) refreshCoins(ctx context.Context, ids []string, report Report) error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	now := w.Now()
	if len(ids) == 0 || now.Sub(w.coinsAsOf) < coinsAge && !now.Before(w.coinsAsOf) {
		return nil
	}
	news, err := history.RefreshCoins(ctx, w.Coins, w.CoinStore, ids)
	report["coins_new"] += news
	if err == nil || market.ErrorCode(err) == market.NotFound {
		w.coinsAsOf = now
	}
	return err
}

func (w *ingest) backfill(ctx context.Context, request history.BackfillRequest, report Report) error {
	plan, err := w.Backfiller.Plan(ctx, request)
	if market.ErrorCode(err) == market.NotFound {
		return market.Errorf(market.NotFound, "the exchange does not know %s: take it out of the setting symbols", request.Series.Symbol)
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
	if err != nil {
		return fmt.Errorf("ingest %s: %w", request.Series, err)
	}
	return nil
}

// progressEvery is how often long work says how far it has come.
const progressEvery = 10 * time.Second

// repair fills the gaps of the symbol's other stored series.
func (w *ingest) repair(ctx context.Context, done market.Series, report Report) error {
	stored, err := w.Stored.Catalogue(ctx)
	if err != nil {
		return err
	}
	for _, s := range stored {
		if s.Symbol != done.Symbol || s.Series == done {
			continue
		}
		if err := w.backfill(ctx, history.BackfillRequest{Series: s.Series, Wanted: market.TimeRange{Start: s.First}}, report); err != nil {
			return err
		}
	}
	return nil
}

// compare mends what the exchange has otherwise by now.
func (w *ingest) compare(ctx context.Context, series market.Series, report Report) error {
	request := history.ReconcileRequest{Series: series, Wanted: market.TimeRange{Start: w.Now().Add(-comparedBack)}, Mend: true}
	compared, err := w.Backfiller.Reconcile(ctx, w.Stored, request, func(history.Difference) {}, func(history.ReconcileReport) {})
	report["candles_new"] += compared.New
	report["candles_corrected"] += compared.Corrected
	return err
}
