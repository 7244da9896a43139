CREATE TABLE stream_gaps (
    symbol     text COLLATE "C" NOT NULL,
    start_time timestamptz      NOT NULL,
    end_time   timestamptz      NOT NULL,
    missing    bigint           NOT NULL,
    reason     text COLLATE "C" NOT NULL,
    CONSTRAINT stream_gaps_pkey PRIMARY KEY (symbol, start_time),
    CONSTRAINT stream_gaps_order_check CHECK (start_time < end_time),
    CONSTRAINT stream_gaps_missing_check CHECK (missing > 0),
    CONSTRAINT stream_gaps_reason_check CHECK (reason IN ('not_running', 'disconnected', 'silent', 'database_away'))
);

COMMENT ON TABLE stream_gaps IS 'Ranges of the sampling grid for which there are no ticks, and why';
COMMENT ON COLUMN stream_gaps.symbol IS 'Traded pair';
COMMENT ON COLUMN stream_gaps.start_time IS 'Instant of the first missing sample';
COMMENT ON COLUMN stream_gaps.end_time IS 'Instant of the first sample after the gap';
COMMENT ON COLUMN stream_gaps.missing IS 'Number of missing samples';
COMMENT ON COLUMN stream_gaps.reason IS 'not_running (no process was sampling), disconnected (no connection to the exchange), '
    'silent (connected, but nothing was said of the symbol) or database_away (for longer than samples are held in memory)';

CREATE VIEW stream_coverage AS
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
COMMENT ON COLUMN stream_coverage.symbol IS 'Traded pair';
COMMENT ON COLUMN stream_coverage.first_sample IS 'Instant of the oldest stored sample; NULL where there is none';
COMMENT ON COLUMN stream_coverage.last_sample IS 'Instant of the newest stored sample; NULL where there is none';
COMMENT ON COLUMN stream_coverage.samples IS 'Stored samples';
COMMENT ON COLUMN stream_coverage.not_running IS 'Samples missing because no process was sampling';
COMMENT ON COLUMN stream_coverage.disconnected IS 'Samples missing because there was no connection to the exchange';
COMMENT ON COLUMN stream_coverage.silent IS 'Samples missing because the exchange said nothing of the symbol';
COMMENT ON COLUMN stream_coverage.database_away IS 'Samples missing because the database was away for longer than they are held in memory';
