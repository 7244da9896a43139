package timescale_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cryptoboat/cryptoboat/internal/history"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/timescale"
	"github.com/cryptoboat/cryptoboat/internal/timescale/timescaletest"
)

// terminator ends the other connections to a test's database.
func terminator(t *testing.T, d *timescale.Database) func() {
	t.Helper()
	admin, err := pgx.ConnectConfig(t.Context(), d.Pool().Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.Close(context.Background()) })
	var mutex sync.Mutex
	return func() {
		mutex.Lock()
		defer mutex.Unlock()
		_, err := admin.Exec(t.Context(), `
			SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`)
		if err != nil {
			t.Error(err)
		}
	}
}

// cuttingExchange answers every place with a candle, and cuts the connections to
// the database each time it does.
type cuttingExchange struct {
	candles []market.Candle
	cut     func()
}

func (e cuttingExchange) Now(context.Context) (time.Time, error) {
	return e.candles[len(e.candles)-1].OpenTime.Add(time.Hour), nil
}

func (e cuttingExchange) Listed(context.Context, market.Symbol) (time.Time, error) {
	e.cut()
	return e.candles[0].OpenTime, nil
}

func (e cuttingExchange) Candles(_ context.Context, _ market.Series, r market.TimeRange) ([]market.Candle, error) {
	e.cut()
	var answer []market.Candle
	for _, c := range e.candles {
		if r.Contains(c.OpenTime) {
			answer = append(answer, c)
		}
	}
	return answer, nil
}

func TestABackfillOutlivesLostConnections(t *testing.T) {
	d := timescaletest.Open(t)
	exchange := cuttingExchange{candles: walk(market.Minute15, newYear, 5*history.PageLimit), cut: terminator(t, d)}
	b := history.NewBackfiller(exchange, d, slog.New(slog.DiscardHandler))
	wanted := market.TimeRange{End: exchange.candles[len(exchange.candles)-1].OpenTime.Add(15 * time.Minute)}
	plan, err := b.Plan(t.Context(), history.BackfillRequest{Series: btc15m, Wanted: wanted})
	if err != nil {
		t.Fatal(err)
	}
	report, err := b.Run(t.Context(), plan, func(history.BackfillProgress) {})
	if err != nil || report.Retries == 0 || report.Unfinished > 0 {
		t.Errorf("report %+v, error %v", report, err)
	}
	stored, err := d.StoredCandles(t.Context(), btc15m, plan.Wanted, len(exchange.candles)+1)
	if err != nil || len(stored) != len(exchange.candles) {
		t.Errorf("%d candles are stored, error %v", len(stored), err)
	}
}

func TestALostConnectionMayPass(t *testing.T) {
	d := timescaletest.Open(t)
	cut := terminator(t, d)
	candles := walk(market.Minute15, newYear, 10)
	for name, do := range map[string]func() error{
		"WritePage": func() error {
			_, err := d.WritePage(t.Context(), btc15m, pageOf(btc15m, candles))
			return err
		},
		"WriteCandles": func() error {
			_, err := d.WriteCandles(t.Context(), btc15m, func() (history.CandleReader, error) { return &oneCandle{candle: candles[0]}, nil })
			return err
		},
		"Gaps": func() error {
			_, err := d.Gaps(t.Context(), btc15m, market.TimeRange{Start: newYear, End: newYear.Add(time.Hour)})
			return err
		},
		"Listed": func() error {
			_, err := d.Listed(t.Context(), btc15m.Symbol)
			return err
		},
		"SetListed": func() error { return d.SetListed(t.Context(), btc15m.Symbol, newYear) },
		"Catalogue": func() error {
			_, err := d.Catalogue(t.Context())
			return err
		},
		"StoredCandles": func() error {
			_, err := d.StoredCandles(t.Context(), btc15m, market.TimeRange{Start: newYear, End: newYear.Add(time.Hour)}, 10)
			return err
		},
		"RefreshRollUps": func() error {
			return d.RefreshRollUps(t.Context(), btc15m, market.TimeRange{Start: newYear, End: newYear.Add(time.Hour)})
		},
		"ClaimOrigin": func() error { return d.ClaimOrigin(t.Context(), history.Real) },
	} {
		if err := do(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		cut()
		if err := do(); market.ErrorCode(err) != market.Unavailable {
			t.Errorf("%s after the connection was lost: %v", name, err)
		}
		if err := do(); err != nil {
			t.Errorf("%s once more: %v", name, err)
		}
	}
}

// Who writes a row that is refused for a value of it need not try it again.
func TestARefusedRowIsInvalid(t *testing.T) {
	d := timescaletest.Open(t)
	upsideDown := walk(market.Minute15, newYear, 1)[0]
	upsideDown.Low, upsideDown.High = upsideDown.High+1, upsideDown.Low
	unspeakable := market.Tick{Series: btc15m, SampledAt: newYear, Candle: walk(market.Minute15, newYear, 1)[0]}
	unspeakable.Symbol = "BTC\x00USDT"
	for name, err := range map[string]error{
		"a candle that breaks a constraint, in a transaction": d.StoreClosed(t.Context(), btc15m, upsideDown),
		"a tick that does":  d.WriteTicks(t.Context(), []market.Tick{{Series: btc15m, SampledAt: newYear, Candle: upsideDown}}),
		"a tick of no text": d.WriteTicks(t.Context(), []market.Tick{unspeakable}),
	} {
		if market.ErrorCode(err) != market.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A database that is closed for a while may be open soon.
func TestADatabaseThatTakesNoConnectionsMayPass(t *testing.T) {
	d := timescaletest.Open(t)
	server, err := pgx.Connect(t.Context(), os.Getenv("CRYPTOBOAT_DATABASE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close(t.Context())
	name := d.Pool().Config().ConnConfig.Database
	for _, statement := range []string{
		"ALTER DATABASE " + pgx.Identifier{name}.Sanitize() + " ALLOW_CONNECTIONS false",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + name + "'",
	} {
		if _, err := server.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 { // until the connections that were open are known to be lost
		_, err = d.Catalogue(t.Context())
		if market.ErrorCode(err) != market.Unavailable {
			t.Errorf("got %v", err)
		}
	}
	if refusal, ok := errors.AsType[*pgconn.PgError](err); !ok || refusal.Code != "55000" {
		t.Errorf("at last: %v", err)
	}
}

// A transaction is cut off in the middle.
func TestALostTransactionMayPass(t *testing.T) {
	d := timescaletest.Open(t)
	cut := terminator(t, d)
	_, err := d.WriteCandles(t.Context(), btc15m, func() (history.CandleReader, error) {
		cut()
		return &oneCandle{candle: walk(market.Minute15, newYear, 1)[0]}, nil
	})
	if market.ErrorCode(err) != market.Unavailable {
		t.Errorf("got %v", err)
	}
}

// oneCandle reads a single candle.
type oneCandle struct {
	candle market.Candle
	read   bool
}

func (c *oneCandle) Next() (market.Candle, error) {
	if c.read {
		return market.Candle{}, io.EOF
	}
	c.read = true
	return c.candle, nil
}

func (c *oneCandle) Close() error { return nil }

func TestWhatMayPass(t *testing.T) {
	state := func(code string) error { return fmt.Errorf("do: %w", &pgconn.PgError{Code: code}) }
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		ctx  context.Context
		err  error
		want market.Code
	}{
		{t.Context(), nil, ""},
		{t.Context(), pgx.ErrNoRows, market.Internal},
		{t.Context(), errors.New("no room"), market.Internal},
		{t.Context(), market.Errorf(market.Conflict, "other"), market.Conflict},
		{t.Context(), io.ErrUnexpectedEOF, market.Unavailable},
		{t.Context(), state("08006"), market.Unavailable},
		{t.Context(), state("57P01"), market.Unavailable},
		{t.Context(), state("57P02"), market.Unavailable},
		{t.Context(), state("57P03"), market.Unavailable},
		{t.Context(), state("53300"), market.Unavailable},
		{t.Context(), state("40001"), market.Unavailable},
		{t.Context(), state("40P01"), market.Unavailable},
		{t.Context(), state("53100"), market.Internal},    // the disk is full
		{t.Context(), state("57014"), market.Internal},    // cancelled by somebody
		{t.Context(), state("23505"), market.Internal},    // of a reading statement, a fault of ours
		{t.Context(), state("55000"), market.Internal},    // not on connecting
		{cancelled, io.ErrUnexpectedEOF, market.Internal}, // our own doing
	} {
		got := timescale.Passing(test.ctx, test.err)
		if market.ErrorCode(got) != test.want || !errors.Is(got, test.err) {
			t.Errorf("%v: %v, want %q", test.err, got, test.want)
		}
	}
}
