-- Several processes may sample one market into one database. Where one has missed
-- what another has sampled, or missed too, a gap says more than is missing. That
-- is told when it is read: whichever of a gap and a tick is written last need not
-- know of the other.
ALTER TABLE stream_gaps
    ADD COLUMN dropped_samples bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT stream_gaps_dropped_samples_check CHECK (dropped_samples >= 0);

COMMENT ON TABLE stream_gaps IS 'Ranges of the sampling grid of which a process took no samples, and why. '
    'Where several processes sample, another may have taken some; stream_coverage counts what is really missing, each place once';
COMMENT ON COLUMN stream_gaps.missing IS 'Number of places of the sampling grid in the range, evenly spaced; '
    'some may have been sampled by another process';
COMMENT ON COLUMN stream_gaps.dropped_samples IS 'How many of the places another process had sampled whose ticks were dropped for their age since; '
    'places that an earlier gap has too are not counted';

CREATE FUNCTION stream_gap_places(since timestamptz, until timestamptz)
    RETURNS TABLE (symbol text, start_time timestamptz, places bigint, samples bigint) STABLE LANGUAGE sql AS $$
    SELECT g.symbol, g.start_time,
        g.missing - ceil(extract(epoch FROM g.own_start - g.start_time) * g.missing
                         / extract(epoch FROM g.end_time - g.start_time))::bigint,
        -- One index range for each gap. Ranges do not overlap, so that no tick is read
        -- twice. Of another grid, only what falls on a place of this one counts.
        (SELECT count(*) FROM ticks AS t
         WHERE t.symbol = g.symbol AND t.sampled_at >= greatest(g.own_start, since) AND t.sampled_at < least(g.end_time, until)
           AND mod(extract(epoch FROM t.sampled_at - g.start_time) * g.missing, extract(epoch FROM g.end_time - g.start_time)) = 0)
    FROM (
        SELECT *, greatest(start_time, max(end_time) OVER (
            PARTITION BY symbol ORDER BY start_time ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS own_start
        FROM stream_gaps
    ) AS g
    WHERE g.own_start < g.end_time
$$;

COMMENT ON FUNCTION stream_gap_places IS 'For each stream gap, by symbol and start_time: how many of its places no gap that starts earlier has, '
    'and for how many of these there is a tick in [since, until). Gaps without such places are left out';

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
    FROM (
        SELECT symbol, g.reason, p.places - p.samples - g.dropped_samples AS missing
        FROM stream_gaps AS g JOIN stream_gap_places(
            (SELECT coalesce(max(dropped_until), '-infinity') FROM dropped_ticks), 'infinity') AS p USING (symbol, start_time)
    ) AS counted GROUP BY symbol
) AS gaps USING (symbol);

COMMENT ON VIEW stream_coverage IS 'How many samples of the live market were stored and how many are missing, by reason; stream_gaps says where. '
    'A place that several processes missed is counted once, for the gap that starts first; one that any process sampled is not missing. '
    'Samples that were dropped for their age count as stored: ticks_1m has their minutes';

-- What the dropped ticks took from the gaps is written down, or they would be
-- missing again.
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
        LOCK TABLE ticks, stream_gaps IN SHARE ROW EXCLUSIVE MODE;
        UPDATE stream_gaps AS g SET dropped_samples = g.dropped_samples + p.samples
            FROM stream_gap_places(settled, until) AS p
            WHERE (p.symbol, p.start_time) = (g.symbol, g.start_time) AND p.samples > 0;
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

-- A sample is often of a state from just before the close: nothing newer has come.
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
    least(sampled_at, exchange_time) >= candle_next(interval, open_time) AS is_closed,
    sampled_at,
    received_at
FROM ticks
ORDER BY sampled_at DESC, symbol;

COMMENT ON COLUMN stream_crypto_data.is_closed IS 'Whether the exchange dated the state at or after the close, as it does with its last word on a candle; '
    'its flag of a closed candle is not kept. The state of a moment before the close is not final, even where it was sampled after it; the final candle is in candles';
