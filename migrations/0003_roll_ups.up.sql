-- One relation for every interval that finer candles can be rolled up to. Its
-- rows are known by (symbol, source_interval, open_time): candles of 15m and of
-- 1h both roll up to 4h and are never mixed. Up to three days, a series at the
-- very interval is its own roll-up of one part, so that the relation holds all
-- there is; weeks and months that were delivered as such are in candles only.
--
-- On the Community edition the six that people ask for most are continuous
-- aggregates; everything else, and all of it on the Apache edition, is a plain
-- view of the same columns and rows. Weeks and months are built on days; the
-- others read candles, because a level between would lose the series that are
-- stored at an interval above it.
DO $migration$
DECLARE
    community constant boolean := current_setting('timescaledb.license') = 'timescale';
    -- Sums are decimal, as the exchange's own are: they come out the same in
    -- whatever order rows are read, and equal the delivered coarser candle. A
    -- column that one part lacks is unknown for the whole, not smaller.
    aggregates constant text := $sql$
        first(open, open_time) AS open,
        max(high) AS high,
        min(low) AS low,
        last(close, open_time) AS close,
        sum(volume::numeric)::double precision AS volume,
        CASE WHEN count(quote_volume) = count(*) THEN sum(quote_volume::numeric)::double precision END AS quote_volume,
        CASE WHEN count(trades) = count(*) THEN sum(trades)::bigint END AS trades,
        CASE WHEN count(taker_buy_volume) = count(*) THEN sum(taker_buy_volume::numeric)::double precision END AS taker_buy_volume,
        CASE WHEN count(taker_buy_quote_volume) = count(*) THEN sum(taker_buy_quote_volume::numeric)::double precision END AS taker_buy_quote_volume$sql$;
    level record;
    definition text;
BEGIN
    FOR level IN SELECT * FROM (VALUES
        ('candles_3m',  '3 minutes',  false, ARRAY['1m', '3m']),
        ('candles_5m',  '5 minutes',  false, ARRAY['1m', '5m']),
        ('candles_15m', '15 minutes', true,  ARRAY['1m', '3m', '5m', '15m']),
        ('candles_30m', '30 minutes', false, ARRAY['1m', '3m', '5m', '15m', '30m']),
        ('candles_1h',  '1 hour',     true,  ARRAY['1m', '3m', '5m', '15m', '30m', '1h']),
        ('candles_2h',  '2 hours',    false, ARRAY['1m', '3m', '5m', '15m', '30m', '1h', '2h']),
        ('candles_4h',  '4 hours',    true,  ARRAY['1m', '3m', '5m', '15m', '30m', '1h', '2h', '4h']),
        ('candles_6h',  '6 hours',    false, ARRAY['1m', '3m', '5m', '15m', '30m', '1h', '2h', '6h']),
        ('candles_8h',  '8 hours',    false, ARRAY['1m', '3m', '5m', '15m', '30m', '1h', '2h', '4h', '8h']),
        ('candles_12h', '12 hours',   false, ARRAY['1m', '3m', '5m', '15m', '30m', '1h', '2h', '4h', '6h', '12h']),
        ('candles_1d',  '1 day',      true,  ARRAY['1m', '3m', '5m', '15m', '30m', '1h', '2h', '4h', '6h', '8h', '12h', '1d']),
        ('candles_3d',  '3 days',     false, ARRAY['1m', '3m', '5m', '15m', '30m', '1h', '2h', '4h', '6h', '8h', '12h', '1d', '3d']),
        ('candles_1w',  '1 week',     true,  NULL),
        ('candles_1mo', '1 month',    true,  NULL)
    ) AS levels (name, width, aggregated, sources)
    LOOP
        IF level.sources IS NULL THEN
            definition := format($sql$
                SELECT symbol, source_interval, time_bucket(%L::interval, open_time) AS open_time, %s,
                    sum(parts)::bigint AS parts
                FROM candles_1d
                GROUP BY symbol, source_interval, time_bucket(%L::interval, open_time)$sql$,
                level.width, aggregates, level.width);
        ELSE
            definition := format($sql$
                SELECT symbol, interval AS source_interval, time_bucket(%L::interval, open_time) AS open_time, %s,
                    count(*) AS parts
                FROM candles
                WHERE interval = ANY (%L::text[])
                GROUP BY symbol, interval, time_bucket(%L::interval, open_time)$sql$,
                level.width, aggregates, level.sources, level.width);
        END IF;
        IF community AND level.aggregated THEN
            EXECUTE format('CREATE MATERIALIZED VIEW %I WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS %s WITH NO DATA',
                level.name, definition);
        ELSE
            EXECUTE format('CREATE VIEW %I AS %s', level.name, definition);
        END IF;

        EXECUTE format('COMMENT ON VIEW %I IS %L', level.name, format(
            'Candles of %s, rolled up from every stored series that divides it', level.width));
        EXECUTE format($sql$
            COMMENT ON COLUMN %1$I.symbol IS 'Traded pair';
            COMMENT ON COLUMN %1$I.source_interval IS 'Interval of the stored candles that this one was made of';
            COMMENT ON COLUMN %1$I.open_time IS 'First instant of the candle';
            COMMENT ON COLUMN %1$I.open IS 'Open of the first part';
            COMMENT ON COLUMN %1$I.high IS 'Highest high of the parts';
            COMMENT ON COLUMN %1$I.low IS 'Lowest low of the parts';
            COMMENT ON COLUMN %1$I.close IS 'Close of the last part';
            COMMENT ON COLUMN %1$I.volume IS 'Sum over the parts, in the base asset';
            COMMENT ON COLUMN %1$I.quote_volume IS 'Sum over the parts; NULL where a part lacks it';
            COMMENT ON COLUMN %1$I.trades IS 'Sum over the parts; NULL where a part lacks it';
            COMMENT ON COLUMN %1$I.taker_buy_volume IS 'Sum over the parts; NULL where a part lacks it';
            COMMENT ON COLUMN %1$I.taker_buy_quote_volume IS 'Sum over the parts; NULL where a part lacks it';
            COMMENT ON COLUMN %1$I.parts IS 'Stored candles in this one; fewer than its length holds means that some are missing'
            $sql$, level.name);
    END LOOP;
END
$migration$;
