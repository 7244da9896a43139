-- What people ask for in psql, under plain names.

CREATE FUNCTION candle_ceiling(candle_interval text, instant timestamptz) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE candle_floor(candle_interval, instant)
        WHEN instant THEN instant
        ELSE candle_next(candle_interval, candle_floor(candle_interval, instant))
    END;
COMMENT ON FUNCTION candle_ceiling IS 'Open time of the first candle that opens at an instant or after it';

-- The view looks for all symbols first, whichever is asked for.
CREATE FUNCTION stored_series_of(series_symbol text)
RETURNS TABLE ("interval" text, first_open_time timestamptz, last_open_time timestamptz)
    LANGUAGE sql STABLE ROWS 3
AS $function$
    SELECT intervals.name, oldest.open_time, newest.open_time
    FROM unnest(ARRAY['1m', '3m', '5m', '15m', '30m', '1h', '2h', '4h', '6h', '8h', '12h', '1d', '3d', '1w', '1M']) AS intervals (name),
        LATERAL (SELECT c.open_time FROM candles AS c WHERE c.symbol = series_symbol AND c.interval = intervals.name
                 ORDER BY c.open_time LIMIT 1) AS oldest,
        LATERAL (SELECT c.open_time FROM candles AS c WHERE c.symbol = series_symbol AND c.interval = intervals.name
                 ORDER BY c.open_time DESC LIMIT 1) AS newest
$function$;
COMMENT ON FUNCTION stored_series_of IS 'Rows of stored_series of one symbol, in a time that does not depend on how many others there are';

-- The rows that the service's own reader gives, which goes by the same rules; a test
-- compares the two. Which relation to read is known at run time only, hence EXECUTE,
-- which also lets the planner see the bounds and leave out the chunks beyond them.
CREATE FUNCTION candles(series_symbol text, series_interval text, window_start timestamptz, window_end timestamptz)
RETURNS TABLE (
    symbol text, "interval" text, open_time timestamptz,
    open double precision, high double precision, low double precision, close double precision,
    volume double precision, quote_volume double precision, trades bigint,
    taker_buy_volume double precision, taker_buy_quote_volume double precision,
    source_interval text, parts bigint
)
    LANGUAGE plpgsql STABLE STRICT
    SET timezone = 'UTC'
AS $function$
#variable_conflict use_column
DECLARE
    prices_and_volumes constant text :=
        'open, high, low, close, volume, quote_volume, trades, taker_buy_volume, taker_buy_quote_volume';
    roll_up constant text := 'candles_' || CASE series_interval WHEN '1M' THEN '1mo' ELSE series_interval END;
    sources text[];           -- stored intervals that divide this one, coarsest first
    extents tstzrange[];      -- places that each of them knows something of
    lacking tstzmultirange;   -- places that no source so far has all of
    reach   tstzmultirange;
    reaches tstzmultirange[]; -- what is read of each source
    branches text[];
    query   text := format(
        'SELECT open_time, %s, $2 AS source_interval, 1::bigint AS parts FROM candles
         WHERE symbol = $1 AND interval = $2 AND open_time >= $3 AND open_time < $4', prices_and_volumes);
BEGIN
    IF candle_length(series_interval) IS NULL THEN
        RAISE EXCEPTION 'interval % is unknown', series_interval
            USING ERRCODE = 'invalid_parameter_value', HINT = '1m is a minute, 1M a month; others are 15m, 1h, 1d, 1w.';
    END IF;
    -- Months are made of what divides a day.
    SELECT array_agg(s.interval ORDER BY candle_length(s.interval) DESC),
        array_agg(tstzrange(
            candle_floor(series_interval, s.first_open_time),
            candle_next(series_interval, candle_floor(series_interval, s.last_open_time))) ORDER BY candle_length(s.interval) DESC)
    INTO sources, extents
    FROM stored_series_of(series_symbol) AS s
    WHERE s.interval NOT IN (series_interval, '1M')
      AND mod(extract(epoch FROM CASE series_interval WHEN '1M' THEN INTERVAL '1 day' ELSE candle_length(series_interval) END),
              extract(epoch FROM candle_length(s.interval))) = 0;

    IF sources IS NOT NULL THEN
        -- A delivered candle stands for its place wherever in it it opens.
        SELECT (SELECT range_agg(extent) FROM unnest(extents) AS extent)
            * tstzmultirange(tstzrange(
                candle_ceiling(series_interval, window_start),
                candle_ceiling(series_interval, greatest(window_start, window_end))))
            - coalesce(range_agg(tstzrange(
                candle_floor(series_interval, open_time),
                candle_next(series_interval, candle_floor(series_interval, open_time)))), '{}')
        INTO lacking
        FROM candles
        WHERE symbol = series_symbol AND interval = series_interval AND open_time >= window_start AND open_time < window_end;
    END IF;
    FOR k IN 1 .. coalesce(cardinality(sources), 0) LOOP
        reach := lacking * tstzmultirange(extents[k]);
        CONTINUE WHEN isempty(reach);
        reaches := reaches || reach;
        branches := branches || format(
            'SELECT open_time, %1$s, source_interval, parts FROM %2$I
             WHERE symbol = $1 AND source_interval = %3$L AND open_time >= lower($5[%4$s]) AND open_time < upper($5[%4$s])',
            prices_and_volumes, roll_up, sources[k], cardinality(reaches));
        IF (SELECT count(*) FROM unnest(reach)) > 1 THEN -- which costs a third more, for each candle that is rolled up
            branches[cardinality(branches)] := branches[cardinality(branches)] || format(' AND $5[%s] @> open_time', cardinality(reaches));
        END IF;
        -- A finer source is asked for what this one has gaps in.
        IF k < cardinality(sources) THEN
            SELECT lacking - reach + reach * coalesce(range_agg(tstzrange(
                candle_floor(series_interval, start_time), candle_ceiling(series_interval, end_time))), '{}')
            INTO lacking
            FROM candle_gaps(series_symbol, sources[k], lower(reach), upper(reach));
        END IF;
    END LOOP;

    IF cardinality(branches) = 1 THEN
        query := query || ' UNION ALL ' || branches[1];
    ELSIF cardinality(branches) > 1 THEN
        -- Of each place, the candle that covers most of it, of the coarsest parts.
        query := query || format(
            ' UNION ALL (SELECT DISTINCT ON (open_time) open_time, %s, source_interval, parts FROM (%s) AS rolled_up
              ORDER BY open_time, least(parts * candle_length(source_interval), candle_next($2, open_time) - open_time) DESC,
                  candle_length(source_interval) DESC)', prices_and_volumes, array_to_string(branches, ' UNION ALL '));
    END IF;
    RETURN QUERY EXECUTE format('SELECT $1, $2, open_time, %s, source_interval, parts FROM (%s) AS found ORDER BY open_time',
            prices_and_volumes, query)
        USING series_symbol, series_interval, window_start, window_end, reaches;
END
$function$;
COMMENT ON FUNCTION candles(text, text, timestamptz, timestamptz) IS
    'Candles of a series that open in [window_start, window_end), oldest first: as delivered where they are stored at that very interval, '
    'else rolled up from the coarsest stored interval that divides it and covers most of the candle. '
    'source_interval and parts say of what each is made: fewer parts than its length holds means that some are missing. '
    'What nothing stored covers is left out';

CREATE VIEW latest_prices AS
WITH RECURSIVE sampled AS ( -- from one symbol to the next by the key, without reading the rows between
    (SELECT symbol FROM ticks ORDER BY symbol LIMIT 1)
    UNION ALL
    SELECT (SELECT t.symbol FROM ticks AS t WHERE t.symbol > sampled.symbol ORDER BY t.symbol LIMIT 1)
    FROM sampled WHERE sampled.symbol IS NOT NULL
), known AS (
    SELECT sampled.symbol, newest.close AS price, newest.exchange_time AS as_of, 'tick' AS source
    FROM sampled, LATERAL (
        SELECT t.close, t.exchange_time FROM ticks AS t WHERE t.symbol = sampled.symbol ORDER BY t.sampled_at DESC LIMIT 1) AS newest
    UNION ALL
    SELECT s.symbol, newest.close, candle_next(s.interval, candle_floor(s.interval, newest.open_time)), 'candle'
    FROM stored_series AS s, LATERAL ( -- by the key and from the newest chunk on, which a join does not see
        SELECT c.open_time, c.close FROM candles AS c WHERE c.symbol = s.symbol AND c.interval = s.interval
        ORDER BY c.open_time DESC LIMIT 1) AS newest
)
SELECT DISTINCT ON (symbol) symbol, price, as_of, now() - as_of AS age, source
FROM known ORDER BY symbol, as_of DESC, source DESC;

COMMENT ON VIEW latest_prices IS 'Newest known price of every symbol: that of the live market where it is followed, else the close of the newest stored candle. '
    'The age says whether it still means something';
COMMENT ON COLUMN latest_prices.symbol IS 'Traded pair';
COMMENT ON COLUMN latest_prices.price IS 'Price, in the quote asset';
COMMENT ON COLUMN latest_prices.as_of IS 'Instant that it was the price at, by the exchange''s clock';
COMMENT ON COLUMN latest_prices.age IS 'How long ago that was, by the database''s clock';
COMMENT ON COLUMN latest_prices.source IS 'tick (a sample of the live market) or candle (the close of a stored one)';

CREATE VIEW forecast_accuracy AS
SELECT symbol, interval, (open_time AT TIME ZONE 'UTC')::date AS day, model_id,
    count(*) AS forecasts,
    count(DISTINCT open_time) AS candles,
    1e4 * avg(abs(ln(actual_close / point))) AS mean_absolute_error,
    1e4 * avg(abs(log_return)) AS mean_absolute_error_if_stays,
    1 - sum(squared_error) / nullif(sum(squared_error_if_stays), 0) AS skill,
    avg(in_band_80::integer)::double precision AS coverage_80,
    avg(in_band_90::integer)::double precision AS coverage_90,
    avg(brier_above_open) AS brier,
    CASE WHEN count(brier_analytic) = count(*) THEN avg(brier_analytic) END AS brier_analytic
FROM forecasts
WHERE scored_at IS NOT NULL
GROUP BY symbol, interval, day, model_id;

COMMENT ON VIEW forecast_accuracy IS 'How good the forecasts were, by day and model, beside what needs no forest; forecast_scores has the same by the stage of the candle. '
    'Several forecasts of a candle share its outcome. To sum up several rows, weigh them by forecasts; '
    'a skill over several is to be had from the table forecasts only';
COMMENT ON COLUMN forecast_accuracy.symbol IS 'Traded pair';
COMMENT ON COLUMN forecast_accuracy.interval IS 'Length of the candle';
COMMENT ON COLUMN forecast_accuracy.day IS 'Day, UTC, that the candles open on';
COMMENT ON COLUMN forecast_accuracy.model_id IS 'Model that made the forecasts';
COMMENT ON COLUMN forecast_accuracy.forecasts IS 'Forecasts measured: those whose candle has closed';
COMMENT ON COLUMN forecast_accuracy.candles IS 'Candles that they are of';
COMMENT ON COLUMN forecast_accuracy.mean_absolute_error IS 'Mean distance of the point from the actual close, in basis points of the price (as log returns)';
COMMENT ON COLUMN forecast_accuracy.mean_absolute_error_if_stays IS 'The same of the baseline "the price stays"; the forecast has to be below it';
COMMENT ON COLUMN forecast_accuracy.skill IS '1 - MSE / MSE of "the price stays", of log returns (Murphy 1988); above 0 is better than the baseline';
COMMENT ON COLUMN forecast_accuracy.coverage_80 IS 'Share of closes within the 80 % band; 0.8 is what it should be';
COMMENT ON COLUMN forecast_accuracy.coverage_90 IS 'Share of closes within the 90 % band; 0.9 is what it should be';
COMMENT ON COLUMN forecast_accuracy.brier IS 'Mean squared error of the probability of a close above the open (Brier 1950); 0.25 is a coin';
COMMENT ON COLUMN forecast_accuracy.brier_analytic IS 'The same of the normal distribution''s probability, the baseline; NULL where it was not stored with every forecast';

-- A bucket of the hypertable, not a date: a condition on the day leaves out the chunks
-- of other days.
CREATE VIEW realized_volatility AS
SELECT symbol, interval, time_bucket('1 day', open_time) AS day,
    count(*) AS candles,
    (86400 / extract(epoch FROM candle_length(interval)))::bigint AS expected,
    sqrt(sum(ln(close / open) ^ 2)) AS realized_volatility,
    sqrt(365 * sum(ln(close / open) ^ 2)) AS annualized_volatility
FROM candles
WHERE interval IN ('1m', '3m', '5m', '15m', '30m', '1h', '2h', '4h', '6h', '8h', '12h')
GROUP BY symbol, interval, time_bucket('1 day', open_time);

COMMENT ON VIEW realized_volatility IS 'How much the price moved within each day, by the stored candles that divide it: '
    'the root of the sum of their squared log returns from open to close '
    '(Andersen, Bollerslev, Diebold and Labys, Modeling and Forecasting Realized Volatility, Econometrica 71, 2003). '
    'A day that lacks candles comes out too small: compare candles with expected';
COMMENT ON COLUMN realized_volatility.symbol IS 'Traded pair';
COMMENT ON COLUMN realized_volatility.interval IS 'Length of the candles that it is told by; finer ones see more of what moved, and more of the bounce between bid and ask';
COMMENT ON COLUMN realized_volatility.day IS 'First instant of the day, UTC';
COMMENT ON COLUMN realized_volatility.candles IS 'Stored candles that open on the day';
COMMENT ON COLUMN realized_volatility.expected IS 'Candles that a whole day has';
COMMENT ON COLUMN realized_volatility.realized_volatility IS 'Of the day, as a log return: 0.03 is 3 %';
COMMENT ON COLUMN realized_volatility.annualized_volatility IS 'The same by the year of 365 days, on each of which there is trading: times the root of 365';
