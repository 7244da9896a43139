-- What was dropped stays so; its minutes stay in ticks_1m.
DO $migration$
BEGIN
    IF current_setting('timescaledb.license') = 'timescale' THEN
        PERFORM delete_job(job_id) FROM timescaledb_information.jobs WHERE proc_name = 'drop_old_ticks';
        DROP PROCEDURE drop_old_ticks;
    END IF;
END
$migration$;

CREATE OR REPLACE VIEW stream_coverage AS
SELECT symbol, stored.first_sample, stored.last_sample, coalesce(stored.samples, 0) AS samples,
    coalesce(gaps.not_running, 0) AS not_running, coalesce(gaps.disconnected, 0) AS disconnected,
    coalesce(gaps.silent, 0) AS silent, coalesce(gaps.database_away, 0) AS database_away
FROM (
    SELECT symbol, min(sampled_at) AS first_sample, max(sampled_at) AS last_sample, count(*) AS samples
    FROM ticks GROUP BY symbol
) AS stored
FULL JOIN (
    SELECT symbol,
        (sum(missing) FILTER (WHERE reason = 'not_running'))::bigint AS not_running,
        (sum(missing) FILTER (WHERE reason = 'disconnected'))::bigint AS disconnected,
        (sum(missing) FILTER (WHERE reason = 'silent'))::bigint AS silent,
        (sum(missing) FILTER (WHERE reason = 'database_away'))::bigint AS database_away
    FROM stream_gaps GROUP BY symbol
) AS gaps USING (symbol);

COMMENT ON VIEW stream_coverage IS 'How many samples of the live market are stored and how many are missing, by reason; stream_gaps says where';
COMMENT ON COLUMN stream_coverage.first_sample IS 'Instant of the oldest stored sample; NULL where there is none';
COMMENT ON COLUMN stream_coverage.last_sample IS 'Instant of the newest stored sample; NULL where there is none';
COMMENT ON COLUMN stream_coverage.samples IS 'Stored samples';
COMMENT ON TABLE ticks IS 'Samples of the live market: the open candle as it stood at an instant; those that are missing are in stream_gaps';

DROP TABLE dropped_ticks;
