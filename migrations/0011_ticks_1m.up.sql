-- As with the roll-ups of candles: a continuous aggregate where the edition has
-- them, else a plain view of the same columns and rows.
DO $migration$
DECLARE
    definition constant text := $sql$
        SELECT symbol, time_bucket('1 minute'::interval, sampled_at) AS open_time,
            first(close, sampled_at) AS open,
            max(close) AS high,
            min(close) AS low,
            last(close, sampled_at) AS close,
            count(*) AS samples
        FROM ticks
        GROUP BY symbol, time_bucket('1 minute'::interval, sampled_at)$sql$;
BEGIN
    IF current_setting('timescaledb.license') = 'timescale' THEN
        EXECUTE 'CREATE MATERIALIZED VIEW ticks_1m WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS '
            || definition || ' WITH NO DATA';
    ELSE
        EXECUTE 'CREATE VIEW ticks_1m AS ' || definition;
    END IF;
END
$migration$;

COMMENT ON VIEW ticks_1m IS 'Ticks by the minute: prices at the samples only. The exchange''s own candles, with every trade in between, are in candles';
COMMENT ON COLUMN ticks_1m.symbol IS 'Traded pair';
COMMENT ON COLUMN ticks_1m.open_time IS 'First instant of the minute';
COMMENT ON COLUMN ticks_1m.open IS 'Price at the first sample of the minute';
COMMENT ON COLUMN ticks_1m.high IS 'Highest price sampled; between the samples it may have been higher';
COMMENT ON COLUMN ticks_1m.low IS 'Lowest price sampled; between the samples it may have been lower';
COMMENT ON COLUMN ticks_1m.close IS 'Price at the last sample of the minute';
COMMENT ON COLUMN ticks_1m.samples IS 'Number of samples in the minute; one every 5 seconds makes 12';
