-- What cannot be told from candles: since when there should be any, and where
-- the exchange was asked and had none.
CREATE TABLE listings (
    symbol    text COLLATE "C" NOT NULL PRIMARY KEY,
    listed_at timestamptz      NOT NULL
);

COMMENT ON TABLE listings IS 'Since when pairs are traded, as the exchange said';
COMMENT ON COLUMN listings.symbol IS 'Traded pair';
COMMENT ON COLUMN listings.listed_at IS 'Open time of its oldest candle on the exchange';

-- The ranges of a series are disjoint: writers of one series take turns, and each
-- replaces all that it overlaps.
CREATE TABLE empty_ranges (
    symbol     text COLLATE "C" NOT NULL,
    interval   text COLLATE "C" NOT NULL,
    start_time timestamptz      NOT NULL,
    end_time   timestamptz      NOT NULL,
    asked      integer          NOT NULL,
    last_asked timestamptz      NOT NULL,
    confirmed  boolean          NOT NULL,
    CONSTRAINT empty_ranges_pkey PRIMARY KEY (symbol, interval, start_time),
    CONSTRAINT empty_ranges_order_check CHECK (start_time < end_time),
    CONSTRAINT empty_ranges_asked_check CHECK (asked > 0)
);

COMMENT ON TABLE empty_ranges IS 'Ranges of a series in which the exchange had no candle when it was asked';
COMMENT ON COLUMN empty_ranges.symbol IS 'Traded pair';
COMMENT ON COLUMN empty_ranges.interval IS 'Length of the candles asked for';
COMMENT ON COLUMN empty_ranges.start_time IS 'First open time of the range';
COMMENT ON COLUMN empty_ranges.end_time IS 'First open time after the range';
COMMENT ON COLUMN empty_ranges.asked IS 'On how many occasions it was asked for and empty';
COMMENT ON COLUMN empty_ranges.last_asked IS 'The newest of those occasions';
COMMENT ON COLUMN empty_ranges.confirmed IS 'Whether it was empty often enough not to be asked for again';

-- The calendar, as the exchange keeps it: three-day candles count from the
-- epoch, weeks open on Monday, months on the 1st, all in UTC. The time zone of
-- the session has no part in it, hence the detours through AT TIME ZONE.
CREATE FUNCTION candle_length(candle_interval text) RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE candle_interval
        WHEN '1m' THEN INTERVAL '1 minute'
        WHEN '3m' THEN INTERVAL '3 minutes'
        WHEN '5m' THEN INTERVAL '5 minutes'
        WHEN '15m' THEN INTERVAL '15 minutes'
        WHEN '30m' THEN INTERVAL '30 minutes'
        WHEN '1h' THEN INTERVAL '1 hour'
        WHEN '2h' THEN INTERVAL '2 hours'
        WHEN '4h' THEN INTERVAL '4 hours'
        WHEN '6h' THEN INTERVAL '6 hours'
        WHEN '8h' THEN INTERVAL '8 hours'
        WHEN '12h' THEN INTERVAL '12 hours'
        WHEN '1d' THEN INTERVAL '1 day'
        WHEN '3d' THEN INTERVAL '3 days'
        WHEN '1w' THEN INTERVAL '7 days'
        WHEN '1M' THEN INTERVAL '1 month'
    END;
COMMENT ON FUNCTION candle_length IS 'Length of a candle by the exchange''s name for it, NULL for an unknown one';

CREATE FUNCTION candle_floor(candle_interval text, instant timestamptz) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE candle_interval
        WHEN '1M' THEN date_trunc('month', instant AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
        WHEN '1w' THEN date_bin(candle_length(candle_interval), instant, '1970-01-05 00:00:00+00')
        ELSE date_bin(candle_length(candle_interval), instant, '1970-01-01 00:00:00+00')
    END;
COMMENT ON FUNCTION candle_floor IS 'Open time of the candle that holds an instant';

CREATE FUNCTION candle_next(candle_interval text, opening timestamptz) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (opening AT TIME ZONE 'UTC' + candle_length(candle_interval)) AT TIME ZONE 'UTC';
COMMENT ON FUNCTION candle_next IS 'Close time of the candle that opens then, which is when the next one opens';

CREATE FUNCTION candle_places(candle_interval text, start_time timestamptz, end_time timestamptz) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE candle_interval
        WHEN '1M' THEN
            12 * (extract(year FROM end_time AT TIME ZONE 'UTC') - extract(year FROM start_time AT TIME ZONE 'UTC'))
            + extract(month FROM end_time AT TIME ZONE 'UTC') - extract(month FROM start_time AT TIME ZONE 'UTC')
        ELSE extract(epoch FROM end_time - start_time) / extract(epoch FROM candle_length(candle_interval))
    END::bigint;
COMMENT ON FUNCTION candle_places IS 'Number of candles that fit between two open times, the second one excluded';

-- The one place where gaps are found and told apart. Planned anew at every call,
-- so that the planner sees the bounds and leaves out the chunks beyond them.
CREATE FUNCTION candle_gaps(
    series_symbol text, series_interval text, window_start timestamptz, window_end timestamptz,
    OUT start_time timestamptz, OUT end_time timestamptz, OUT missing bigint,
    OUT cause text, OUT asked integer, OUT last_asked timestamptz
) RETURNS SETOF record
    LANGUAGE plpgsql STABLE STRICT
    SET timezone = 'UTC'
    SET plan_cache_mode = force_custom_plan
AS $function$
#variable_conflict use_column
DECLARE
    first_place  timestamptz := candle_floor(series_interval, window_start);
    end_place    timestamptz := candle_floor(series_interval, window_end); -- the candle that opens here closes too late
    listed_place timestamptz := coalesce(
        (SELECT candle_floor(series_interval, listed_at) FROM listings WHERE symbol = series_symbol), '-infinity');
BEGIN
    IF candle_length(series_interval) IS NULL THEN
        RAISE EXCEPTION 'interval % is unknown', series_interval
            USING ERRCODE = 'invalid_parameter_value', HINT = '1m is a minute, 1M a month; others are 15m, 1h, 1d, 1w.';
    END IF;
    IF first_place < window_start THEN
        first_place := candle_next(series_interval, first_place);
    END IF;
    IF first_place >= end_place THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH opened AS (
        -- The first candle of a bucket is the one on the grid, if there is one.
        SELECT open_time, candle_floor(series_interval, open_time) AS place,
            lag(candle_next(series_interval, candle_floor(series_interval, open_time)), 1, first_place)
                OVER (ORDER BY open_time) AS free
        FROM candles
        WHERE symbol = series_symbol AND interval = series_interval
          AND open_time >= first_place AND open_time < end_place
    ), breaks AS (
        SELECT open_time, place, free FROM opened
        WHERE free < place OR free = place AND open_time > place
    ), tail AS (
        SELECT coalesce((
            SELECT candle_next(series_interval, candle_floor(series_interval, open_time)) FROM candles
            WHERE symbol = series_symbol AND interval = series_interval
              AND open_time >= first_place AND open_time < end_place
            ORDER BY open_time DESC LIMIT 1), first_place) AS free
    ), absent (start_time, end_time, off_grid) AS (
        SELECT free, place, false FROM breaks WHERE free < place
        UNION ALL
        SELECT place, candle_next(series_interval, place), true FROM breaks WHERE open_time > place
        UNION ALL
        SELECT free, end_place, false FROM tail WHERE free < end_place
    ), known AS (
        SELECT start_time, end_time, asked, last_asked, confirmed FROM empty_ranges
        WHERE symbol = series_symbol AND interval = series_interval
          AND start_time < end_place AND end_time > first_place
    ), told_apart (start_time, end_time, cause, asked, last_asked) AS (
        SELECT start_time, least(end_time, listed_place), 'not_listed', 0, NULL::timestamptz
        FROM absent WHERE start_time < listed_place
        UNION ALL
        SELECT start_time, end_time, 'off_grid', 0, NULL
        FROM absent WHERE off_grid AND start_time >= listed_place
        UNION ALL
        SELECT greatest(absent.start_time, known.start_time, listed_place), least(absent.end_time, known.end_time),
            CASE WHEN confirmed THEN 'confirmed_empty' ELSE 'pending' END, asked, last_asked
        FROM absent JOIN known ON known.start_time < absent.end_time
            AND known.end_time > greatest(absent.start_time, listed_place)
        WHERE NOT off_grid AND absent.end_time > listed_place
        UNION ALL
        SELECT lower(part), upper(part), 'pending', 0, NULL
        FROM absent, unnest(tstzmultirange(tstzrange(greatest(start_time, listed_place), end_time))
            - (SELECT coalesce(range_agg(tstzrange(start_time, end_time)), '{}') FROM known)) AS part
        WHERE NOT off_grid AND end_time > listed_place
    ), compared AS (
        SELECT *, (start_time, cause, asked, last_asked) IS NOT DISTINCT FROM
            (lag(end_time) OVER following, lag(cause) OVER following, lag(asked) OVER following, lag(last_asked) OVER following)
            AS continued
        FROM told_apart WINDOW following AS (ORDER BY start_time)
    ), numbered AS (
        SELECT *, count(*) FILTER (WHERE NOT continued) OVER (ORDER BY start_time) AS gap FROM compared
    )
    SELECT min(start_time), max(end_time), candle_places(series_interval, min(start_time), max(end_time)),
        min(cause), min(asked), min(last_asked)
    FROM numbered GROUP BY gap ORDER BY 1;
END
$function$;
COMMENT ON FUNCTION candle_gaps IS
    'Gaps of a series: runs of open times in [window_start, window_end) at which no candle opens although the next one would have opened by window_end. '
    'The cause is not_listed (the pair was not traded yet), off_grid (a candle stands there, but opens later than it should), '
    'confirmed_empty (the exchange has none either) or pending (the exchange may have them); '
    'asked and last_asked say on how many occasions the exchange had nothing, and when last';

CREATE VIEW stored_series AS
WITH RECURSIVE symbols AS ( -- from one symbol to the next by the key, without reading the rows between
    (SELECT symbol FROM candles ORDER BY symbol LIMIT 1)
    UNION ALL
    SELECT (SELECT c.symbol FROM candles AS c WHERE c.symbol > symbols.symbol ORDER BY c.symbol LIMIT 1)
    FROM symbols WHERE symbols.symbol IS NOT NULL
)
SELECT symbols.symbol, intervals.name AS interval, oldest.open_time AS first_open_time, newest.open_time AS last_open_time
FROM symbols,
    unnest(ARRAY['1m', '3m', '5m', '15m', '30m', '1h', '2h', '4h', '6h', '8h', '12h', '1d', '3d', '1w', '1M']) AS intervals (name),
    LATERAL (SELECT open_time FROM candles WHERE symbol = symbols.symbol AND interval = intervals.name
             ORDER BY open_time LIMIT 1) AS oldest,
    LATERAL (SELECT open_time FROM candles WHERE symbol = symbols.symbol AND interval = intervals.name
             ORDER BY open_time DESC LIMIT 1) AS newest;

COMMENT ON VIEW stored_series IS 'Series of which candles are stored as delivered';
COMMENT ON COLUMN stored_series.symbol IS 'Traded pair';
COMMENT ON COLUMN stored_series.interval IS 'Length of the candles';
COMMENT ON COLUMN stored_series.first_open_time IS 'Open time of the oldest candle';
COMMENT ON COLUMN stored_series.last_open_time IS 'Open time of the newest candle';

-- The first pairs were listed at 2017-08-17 04:00 UTC, inside a day, a week and a
-- month of which there is a candle.
CREATE VIEW coverage_gaps AS
SELECT s.symbol, s.interval, g.start_time, g.end_time, g.missing, g.cause, g.asked, g.last_asked
FROM stored_series AS s, candle_gaps(s.symbol, s.interval, candle_floor(s.interval, '2017-08-17 04:00:00+00'), now()) AS g;

COMMENT ON VIEW coverage_gaps IS 'Runs of candles that are missing from the stored series, from 2017-08-17 04:00 UTC up to now';
COMMENT ON COLUMN coverage_gaps.symbol IS 'Traded pair';
COMMENT ON COLUMN coverage_gaps.interval IS 'Length of the candles';
COMMENT ON COLUMN coverage_gaps.start_time IS 'First missing open time';
COMMENT ON COLUMN coverage_gaps.end_time IS 'First open time after the gap';
COMMENT ON COLUMN coverage_gaps.missing IS 'Number of missing candles';
COMMENT ON COLUMN coverage_gaps.cause IS 'not_listed, off_grid, confirmed_empty or pending; only a pending gap can be mended';
COMMENT ON COLUMN coverage_gaps.asked IS 'On how many occasions the exchange was asked for the gap and had nothing';
COMMENT ON COLUMN coverage_gaps.last_asked IS 'The newest of those occasions; NULL where there was none';

CREATE VIEW coverage AS
SELECT s.symbol, s.interval, s.first_open_time, s.last_open_time, stored.rows, expected.places AS expected,
    gaps.not_listed, gaps.off_grid, gaps.confirmed_empty, gaps.pending
FROM stored_series AS s
LEFT JOIN listings AS l ON l.symbol = s.symbol
CROSS JOIN LATERAL (
    SELECT candle_floor(s.interval, '2017-08-17 04:00:00+00') AS start_place, candle_floor(s.interval, now()) AS end_place
) AS bounds
CROSS JOIN LATERAL (
    SELECT candle_places(s.interval, least(greatest(start_place, candle_floor(s.interval, l.listed_at)), end_place), end_place) AS places
) AS expected
CROSS JOIN LATERAL (
    SELECT count(*) AS rows FROM candles AS c WHERE c.symbol = s.symbol AND c.interval = s.interval
) AS stored
CROSS JOIN LATERAL (
    SELECT coalesce(sum(missing) FILTER (WHERE cause = 'not_listed'), 0)::bigint AS not_listed,
        coalesce(sum(missing) FILTER (WHERE cause = 'off_grid'), 0)::bigint AS off_grid,
        coalesce(sum(missing) FILTER (WHERE cause = 'confirmed_empty'), 0)::bigint AS confirmed_empty,
        coalesce(sum(missing) FILTER (WHERE cause = 'pending'), 0)::bigint AS pending
    FROM candle_gaps(s.symbol, s.interval, start_place, now())
) AS gaps;

COMMENT ON VIEW coverage IS 'What is stored of every series and what is missing, from 2017-08-17 04:00 UTC up to now; coverage_gaps says where';
COMMENT ON COLUMN coverage.symbol IS 'Traded pair';
COMMENT ON COLUMN coverage.interval IS 'Length of the candles';
COMMENT ON COLUMN coverage.first_open_time IS 'Open time of the oldest candle';
COMMENT ON COLUMN coverage.last_open_time IS 'Open time of the newest candle';
COMMENT ON COLUMN coverage.rows IS 'Stored candles';
COMMENT ON COLUMN coverage.expected IS 'Candles that have closed since the pair was listed, if no outage had been';
COMMENT ON COLUMN coverage.not_listed IS 'Candles before the pair was traded';
COMMENT ON COLUMN coverage.off_grid IS 'Candles that open later than they should; they are stored';
COMMENT ON COLUMN coverage.confirmed_empty IS 'Missing candles that the exchange does not have either';
COMMENT ON COLUMN coverage.pending IS 'Missing candles that the exchange may have';
