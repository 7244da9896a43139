package timescale

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

// coinColumns are in the order of coinFields; the key stands first.
var coinColumns = []string{
	"coin_id", "as_of", "ticker", "name",
	"price", "market_cap", "market_cap_rank", "fully_diluted_valuation",
	"volume_24h", "high_24h", "low_24h", "price_change_24h",
	"circulating_supply", "total_supply", "max_supply",
	"all_time_high", "all_time_high_at", "all_time_low", "all_time_low_at",
}

const coinKeyColumns = 2

// coinFields are where the columns of a coin are read from and scanned into.
func coinFields(c *market.Coin) []any {
	return []any{
		&c.ID, &c.AsOf, &c.Ticker, &c.Name,
		nullable[float64]{&c.Price}, nullable[float64]{&c.MarketCap},
		nullable[int64]{&c.MarketCapRank}, nullable[float64]{&c.FullyDilutedValuation},
		nullable[float64]{&c.Volume24h}, nullable[float64]{&c.High24h},
		nullable[float64]{&c.Low24h}, nullable[float64]{&c.PriceChange24h},
		nullable[float64]{&c.CirculatingSupply}, nullable[float64]{&c.TotalSupply}, nullable[float64]{&c.MaxSupply},
		nullable[float64]{&c.AllTimeHigh}, nullable[time.Time]{&c.AllTimeHighAt},
		nullable[float64]{&c.AllTimeLow}, nullable[time.Time]{&c.AllTimeLowAt},
	}
}

// writeCoinSQL leaves alone what is stored with equal values.
var writeCoinSQL = func() string {
	var placeholders []string
	for k := range coinColumns {
		placeholders = append(placeholders, "$"+strconv.Itoa(k+1))
	}
	values := coinColumns[coinKeyColumns:]
	qualified := func(relation string) string { return relation + "." + strings.Join(values, ", "+relation+".") }
	return `
		INSERT INTO coins AS c (` + strings.Join(coinColumns, ", ") + `)
		VALUES (` + strings.Join(placeholders, ", ") + `)
		ON CONFLICT (coin_id, as_of) DO UPDATE SET
			(` + strings.Join(values, ", ") + `, fetched_at) = (` + qualified("excluded") + `, now())
		WHERE (` + qualified("c") + `) IS DISTINCT FROM (` + qualified("excluded") + `)`
}()

// WriteCoins implements history.CoinWriter. What is stored of a coin as of the
// same instant with equal values is no news; with other values it is replaced.
func (d *Database) WriteCoins(ctx context.Context, coins []market.Coin) (int64, error) {
	var news int64
	err := d.pool.transaction(ctx, func(tx pgx.Tx) error {
		for k := range coins {
			written, err := tx.Exec(ctx, writeCoinSQL, coinFields(&coins[k])...)
			if err != nil {
				return fmt.Errorf("%s: %w", coins[k].ID, err)
			}
			news += written.RowsAffected()
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("write coins: %w", err)
	}
	return news, nil
}

// Coins returns what is known of every coin as of the latest instant, the
// largest by market cap first, those without a rank last and by id.
func (d *Database) Coins(ctx context.Context) ([]market.Coin, error) {
	// Step through the key from one coin to the next instead of reading history.
	coins, err := d.queryCoins(ctx, `
		WITH RECURSIVE ids AS (
			(SELECT coin_id FROM coins ORDER BY coin_id LIMIT 1)
			UNION ALL
			SELECT (SELECT c.coin_id FROM coins AS c WHERE c.coin_id > ids.coin_id ORDER BY c.coin_id LIMIT 1)
			FROM ids WHERE ids.coin_id IS NOT NULL
		)
		SELECT newest.`+strings.Join(coinColumns, ", newest.")+`
		FROM ids, LATERAL (SELECT * FROM coins WHERE coin_id = ids.coin_id ORDER BY as_of DESC LIMIT 1) AS newest
		ORDER BY market_cap_rank NULLS LAST, coin_id`)
	if err != nil {
		return nil, fmt.Errorf("read coins: %w", err)
	}
	return coins, nil
}

// CoinHistory returns what was known of a coin as of the instants in the range,
// oldest first, at most limit of them, or a NotFound error where the coin is
// unknown.
func (d *Database) CoinHistory(ctx context.Context, id string, r market.TimeRange, limit int) ([]market.Coin, error) {
	coins, err := d.queryCoins(ctx, `
		SELECT `+strings.Join(coinColumns, ", ")+` FROM coins
		WHERE coin_id = $1 AND as_of >= $2 AND as_of < $3 ORDER BY as_of LIMIT $4`, id, r.Start, r.End, max(limit, 0))
	if err != nil {
		return nil, fmt.Errorf("read the history of a coin: %w", err)
	}
	if len(coins) > 0 {
		return coins, nil
	}
	var known bool
	if err := d.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM coins WHERE coin_id = $1)`, id).Scan(&known); err != nil {
		return nil, fmt.Errorf("look for a coin: %w", err)
	}
	if !known {
		return nil, market.Errorf(market.NotFound, "nothing is known of a coin %.40q: use an id such as bitcoin", id)
	}
	return nil, nil
}

func (d *Database) queryCoins(ctx context.Context, sql string, arguments ...any) ([]market.Coin, error) {
	rows, err := d.pool.Query(ctx, sql, arguments...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (market.Coin, error) {
		var c market.Coin
		err := row.Scan(coinFields(&c)...)
		return c, err
	})
}
