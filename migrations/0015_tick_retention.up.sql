CREATE TABLE dropped_ticks (
    symbol        text COLLATE "C" NOT NULL,
    samples       bigint           NOT NULL,
    first_sample  timestamptz,
    last_sample   timestamptz,
    late          bigint           NOT NULL,
    dropped_until timestamptz      NOT NULL,
    CONSTRAINT dropped_ticks_pkey PRIMARY KEY (symbol),
    CONSTRAINT dropped_ticks_order_check CHECK (first_sample <= last_sample AND last_sample < dropped_until),
    CONSTRAINT dropped_ticks_count_check CHECK (samples >= 0 AND late >= 0)
);

COMMENT ON TABLE dropped_ticks IS 'Account of the ticks that were dropped for their age; empty on the Apache edition, which drops none';
COMMENT ON COLUMN dropped_ticks.symbol IS 'Traded pair';
COMMENT ON COLUMN dropped_ticks.samples IS 'Dropped samples that are counted in ticks_1m';
COMMENT ON COLUMN dropped_ticks.first_sample IS 'Instant of the oldest of these samples; NULL where all were late';
COMMENT ON COLUMN dropped_ticks.last_sample IS 'Instant of the newest of these samples; NULL where all were late';
COMMENT ON COLUMN dropped_ticks.late IS 'Dropped samples that were stored after those of their time had been dropped; they are in no minute of ticks_1m';
COMMENT ON COLUMN dropped_ticks.dropped_until IS 'Instant before which ticks of the symbol were dropped. The latest one of all symbols holds: no minute before it changes any more';

COMMENT ON TABLE ticks IS 'Samples of the live market: the open candle as it stood at an instant; those that are missing are in stream_gaps. '
    'On the Community edition chunks more than 90 days older than the newest sample are dropped; '
    'they live on as minutes in ticks_1m and are counted in dropped_ticks. '
    'On the Apache edition all ticks stay, as its ticks_1m is a view that would lose the minutes with them';

-- A policy of TimescaleDB's own drops what no refresh has rolled up yet, such as
-- the last minute before the service was stopped for long. And it goes by the
-- clock alone, by which all ticks of a recording are old.
DO $migration$
BEGIN
    IF current_setting('timescaledb.license') = 'timescale' THEN
        EXECUTE $sql$
CREATE PROCEDURE drop_old_ticks(job_id integer, config jsonb) LANGUAGE plpgsql AS $procedure$
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
        COMMENT ON PROCEDURE drop_old_ticks IS 'Drops the chunks of ticks that end at least drop_after before the newest sample, '
            'once ticks_1m holds their minutes. A daily job; to keep ticks for longer: '
            'SELECT alter_job(job_id, config => ''{"drop_after": "1 year"}'') FROM timescaledb_information.jobs WHERE proc_name = ''drop_old_ticks''';
        PERFORM add_job('drop_old_ticks', INTERVAL '1 day', config => '{"drop_after": "90 days"}');
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
COMMENT ON COLUMN stream_coverage.first_sample IS 'Instant of the oldest sample ever stored; NULL where there is none';
COMMENT ON COLUMN stream_coverage.last_sample IS 'Instant of the newest sample ever stored; NULL where there is none';
COMMENT ON COLUMN stream_coverage.samples IS 'Samples stored, those since dropped among them';
