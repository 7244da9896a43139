CREATE OR REPLACE VIEW stream_crypto_data AS
SELECT
    exchange_time AS event_time,
    symbol,
    close AS price,
    interval,
    open_time,
    candle_next(interval, open_time) AS close_time,
    open AS open_price,
    high AS high_price,
    low AS low_price,
    close AS close_price,
    volume,
    quote_volume,
    trades AS number_of_trades,
    taker_buy_volume,
    taker_buy_quote_volume,
    first_trade_id,
    last_trade_id,
    sampled_at >= candle_next(interval, open_time) AS is_closed,
    sampled_at,
    received_at
FROM ticks
ORDER BY sampled_at DESC, symbol;

COMMENT ON COLUMN stream_crypto_data.is_closed IS 'Whether the candle had closed when the sample was taken; then nothing was known of the next one yet';

DO $migration$
BEGIN
    IF current_setting('timescaledb.license') = 'timescale' THEN
        EXECUTE $sql$
CREATE OR REPLACE PROCEDURE drop_old_ticks(job_id integer, config jsonb) LANGUAGE plpgsql AS $procedure$
DECLARE
    -- Of the service's refreshes too. One that had read from where to refresh
    -- would, after the drop, delete the minutes of what was dropped.
    refresh_lock constant bigint := hashtextextended('refresh ticks_1m', 0);
    -- A sample of the future makes no other one old.
    cut constant timestamptz := least(now(), (SELECT sampled_at FROM ticks ORDER BY sampled_at DESC LIMIT 1))
        - (config ->> 'drop_after')::interval;
    settled timestamptz;
    until timestamptz;
BEGIN
    PERFORM pg_advisory_lock(refresh_lock);
    SELECT coalesce(max(dropped_until), '-infinity') INTO settled FROM dropped_ticks;
    SELECT max(range_end) INTO until FROM timescaledb_information.chunks
        WHERE hypertable_name = 'ticks' AND range_end <= cut;
    IF until > settled THEN
        -- Only whole minutes of a range are refreshed, and the last one may end
        -- after the chunk.
        CALL refresh_continuous_aggregate('ticks_1m', settled, until + INTERVAL '1 minute');
    END IF;
    IF until IS NOT NULL THEN
        -- What is written between the count and the drop would not be counted.
        LOCK TABLE ticks IN SHARE ROW EXCLUSIVE MODE;
        INSERT INTO dropped_ticks AS d
            SELECT symbol,
                count(*) FILTER (WHERE sampled_at >= settled),
                min(sampled_at) FILTER (WHERE sampled_at >= settled), max(sampled_at) FILTER (WHERE sampled_at >= settled),
                count(*) FILTER (WHERE sampled_at < settled), until
            FROM ticks WHERE sampled_at < until GROUP BY symbol
            ON CONFLICT (symbol) DO UPDATE SET
                samples = d.samples + excluded.samples,
                first_sample = least(d.first_sample, excluded.first_sample),
                last_sample = greatest(d.last_sample, excluded.last_sample),
                late = d.late + excluded.late,
                dropped_until = greatest(d.dropped_until, excluded.dropped_until);
        PERFORM drop_chunks('ticks', older_than => until);
        COMMIT;
    END IF;
    PERFORM pg_advisory_unlock(refresh_lock);
END
$procedure$
        $sql$;
    END IF;
END
$migration$;

CREATE OR REPLACE VIEW stream_coverage AS
SELECT symbol, least(stored.first_sample, dropped.first_sample) AS first_sample,
    greatest(stored.last_sample, dropped.last_sample) AS last_sample,
    coalesce(stored.samples, 0) + coalesce(dropped.samples, 0) AS samples,
    coalesce(gaps.not_running, 0) AS not_running, coalesce(gaps.disconnected, 0) AS disconnected,
    coalesce(gaps.silent, 0) AS silent, coalesce(gaps.database_away, 0) AS database_away
FROM (
    -- Late ticks may be those of places that have been counted.
    SELECT symbol, min(sampled_at) AS first_sample, max(sampled_at) AS last_sample, count(*) AS samples
    FROM ticks WHERE sampled_at >= (SELECT coalesce(max(dropped_until), '-infinity') FROM dropped_ticks)
    GROUP BY symbol
) AS stored
FULL JOIN (SELECT symbol, first_sample, last_sample, samples FROM dropped_ticks WHERE samples > 0) AS dropped USING (symbol)
FULL JOIN (
    SELECT symbol,
        (sum(missing) FILTER (WHERE reason = 'not_running'))::bigint AS not_running,
        (sum(missing) FILTER (WHERE reason = 'disconnected'))::bigint AS disconnected,
        (sum(missing) FILTER (WHERE reason = 'silent'))::bigint AS silent,
        (sum(missing) FILTER (WHERE reason = 'database_away'))::bigint AS database_away
    FROM stream_gaps GROUP BY symbol
) AS gaps USING (symbol);

COMMENT ON VIEW stream_coverage IS 'How many samples of the live market were stored and how many are missing, by reason; stream_gaps says where. '
    'Samples that were dropped for their age count as stored: ticks_1m has their minutes';

DROP FUNCTION stream_gap_places;
ALTER TABLE stream_gaps DROP COLUMN dropped_samples;

COMMENT ON TABLE stream_gaps IS 'Ranges of the sampling grid for which there are no ticks, and why';
COMMENT ON COLUMN stream_gaps.missing IS 'Number of missing samples';
