package timescale

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// rollUp is the relation that holds the candles of an interval, rolled up.
type rollUp struct {
	interval market.Interval
	relation string
	// aggregated says that the Community edition keeps it as a continuous
	// aggregate, which has to be refreshed.
	aggregated bool
}

// rollUps are all of them; those that are built on others stand behind them.
var rollUps = []rollUp{
	{market.Minute3, "candles_3m", false},
	{market.Minute5, "candles_5m", false},
	{market.Minute15, "candles_15m", true},
	{market.Minute30, "candles_30m", false},
	{market.Hour1, "candles_1h", true},
	{market.Hour2, "candles_2h", false},
	{market.Hour4, "candles_4h", true},
	{market.Hour6, "candles_6h", false},
	{market.Hour8, "candles_8h", false},
	{market.Hour12, "candles_12h", false},
	{market.Day1, "candles_1d", true},
	{market.Day3, "candles_3d", false},
	{market.Week1, "candles_1w", true},
	{market.Month1, "candles_1mo", true},
}

func rollUpRelation(interval market.Interval) (string, bool) {
	k := slices.IndexFunc(rollUps, func(r rollUp) bool { return r.interval == interval })
	if k < 0 {
		return "", false
	}
	return rollUps[k].relation, true
}

// RefreshRollUps brings the roll-ups of every bucket that touched reaches into
// up to date: candles of the series whose open times lie in it were written.
// It must not run inside the transaction that wrote them. On the Apache edition
// roll-ups are views and there is nothing to do.
func (d *Database) RefreshRollUps(ctx context.Context, series market.Series, touched market.TimeRange) error {
	if touched.Empty() {
		return nil
	}
	community, err := d.community(ctx)
	if err != nil || !community {
		return err
	}
	return d.refreshAlone(ctx, "refresh roll-ups", func(connection *pgx.Conn) error {
		return refreshAggregates(ctx, connection, series.Interval, touched)
	})
}

// refreshAlone calls refresh while no other refresh of that name runs: two of one
// aggregate that overlap fail or, worse, skip a range that the other has not
// finished. The lock goes with the connection.
func (d *Database) refreshAlone(ctx context.Context, name string, refresh func(*pgx.Conn) error) (err error) {
	defer func() { err = passing(ctx, err) }()
	connection, err := d.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer connection.Release()
	if _, err := connection.Exec(ctx, `SELECT pg_advisory_lock(hashtextextended($1, 0))`, name); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	refreshErr := refresh(connection.Conn())
	if _, err := connection.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock_all()`); err != nil {
		return errors.Join(refreshErr, connection.Conn().Close(context.WithoutCancel(ctx)))
	}
	return refreshErr
}

func refreshAggregates(ctx context.Context, connection *pgx.Conn, source market.Interval, touched market.TimeRange) error {
	for _, r := range rollUps {
		if !r.aggregated || r.interval != source && !source.Divides(r.interval) {
			continue
		}
		if err := refreshAggregate(ctx, connection, r.relation, bucketRange(r.interval, touched)); err != nil {
			return err
		}
	}
	return nil
}

// refreshAggregate brings the buckets of a range, which is whole ones, up to date.
func refreshAggregate(ctx context.Context, connection *pgx.Conn, relation string, buckets market.TimeRange) error {
	_, err := connection.Exec(ctx, `CALL refresh_continuous_aggregate($1::text::regclass, $2::timestamptz, $3::timestamptz)`,
		relation, buckets.Start, buckets.End)
	if err != nil {
		return fmt.Errorf("refresh %s from %s to %s: %w", relation,
			buckets.Start.Format(time.RFC3339), buckets.End.Format(time.RFC3339), err)
	}
	return nil
}

// bucketRange widens a range to the whole buckets that it reaches into.
func bucketRange(interval market.Interval, r market.TimeRange) market.TimeRange {
	last := interval.Floor(r.End.Add(-1))
	return market.TimeRange{Start: interval.Floor(r.Start), End: interval.Next(last)}
}
