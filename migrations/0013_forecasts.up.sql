CREATE FUNCTION pinball_loss(level double precision, quantile double precision, actual double precision)
    RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN actual >= quantile THEN level * (actual - quantile) ELSE (1 - level) * (quantile - actual) END;
COMMENT ON FUNCTION pinball_loss(double precision, double precision, double precision) IS
    'Loss whose expectation the quantile of that level minimises (Koenker and Bassett 1978)';

CREATE FUNCTION bands_pinball_loss(
    low_80 double precision, high_80 double precision, low_90 double precision, high_90 double precision,
    actual double precision
) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 1e4 / 4 * (
        pinball_loss(0.05, ln(low_90), ln(actual)) + pinball_loss(0.1, ln(low_80), ln(actual))
        + pinball_loss(0.9, ln(high_80), ln(actual)) + pinball_loss(0.95, ln(high_90), ln(actual)));
COMMENT ON FUNCTION bands_pinball_loss IS
    'Mean pinball loss of the ends of an 80 % and a 90 % band of prices (the quantiles 5, 10, 90 and 95 %), in basis points of the price';

-- A forecast a minute of two pairs is a million rows a year, all of them read and
-- scored by the key: no work for a hypertable.
--
-- The key holds the model last, so that a candle's forecasts stand together. What
-- follows from a forecast and the outcome is computed here and cannot contradict
-- them.
CREATE TABLE forecasts (
    symbol                 text COLLATE "C" NOT NULL,
    interval               text COLLATE "C" NOT NULL,
    open_time              timestamptz      NOT NULL,
    as_of                  timestamptz      NOT NULL,
    model_id               bigint           NOT NULL REFERENCES models (id),
    close_time             timestamptz      NOT NULL,
    elapsed                double precision NOT NULL,
    open                   double precision NOT NULL,
    last                   double precision NOT NULL,
    point                  double precision NOT NULL,
    low_80                 double precision NOT NULL,
    high_80                double precision NOT NULL,
    low_90                 double precision NOT NULL,
    high_90                double precision NOT NULL,
    probability_up         double precision NOT NULL,
    probability_above_open double precision NOT NULL,
    companion_missing      boolean          NOT NULL,
    baselines              jsonb            NOT NULL,
    stored_at              timestamptz      NOT NULL DEFAULT now(),
    scored_at              timestamptz,
    actual_open            double precision,
    actual_close           double precision,
    log_return             double precision GENERATED ALWAYS AS (ln(actual_close / last)) STORED,
    squared_error          double precision GENERATED ALWAYS AS (ln(actual_close / point) ^ 2) STORED,
    squared_error_if_stays double precision GENERATED ALWAYS AS (ln(actual_close / last) ^ 2) STORED,
    hit                    boolean          GENERATED ALWAYS AS ((probability_up > 0.5) = (actual_close > last)) STORED,
    hit_above_open         boolean          GENERATED ALWAYS AS
        ((probability_above_open > 0.5) = (actual_close > actual_open)) STORED,
    brier                  double precision GENERATED ALWAYS AS
        ((probability_up - (actual_close > last)::integer) ^ 2) STORED,
    brier_above_open       double precision GENERATED ALWAYS AS
        ((probability_above_open - (actual_close > actual_open)::integer) ^ 2) STORED,
    in_band_80             boolean          GENERATED ALWAYS AS (actual_close BETWEEN low_80 AND high_80) STORED,
    in_band_90             boolean          GENERATED ALWAYS AS (actual_close BETWEEN low_90 AND high_90) STORED,
    pinball_loss           double precision GENERATED ALWAYS AS
        (bands_pinball_loss(low_80, high_80, low_90, high_90, actual_close)) STORED,
    CONSTRAINT forecasts_pkey PRIMARY KEY (symbol, interval, open_time, as_of, model_id),
    CONSTRAINT forecasts_as_of_check CHECK (as_of >= open_time AND as_of < close_time),
    CONSTRAINT forecasts_elapsed_check CHECK (elapsed >= 0 AND elapsed < 1),
    -- Not a number is greater than infinity.
    CONSTRAINT forecasts_prices_check CHECK (
        least(open, last, point, low_80, high_80, low_90, high_90) > 0
        AND greatest(open, last, point, low_80, high_80, low_90, high_90) < 'Infinity'),
    CONSTRAINT forecasts_probabilities_check CHECK (
        probability_up BETWEEN 0 AND 1 AND probability_above_open BETWEEN 0 AND 1),
    CONSTRAINT forecasts_score_check CHECK (num_nulls(scored_at, actual_open, actual_close) IN (0, 3))
);

COMMENT ON TABLE forecasts IS 'Forecasts of where an open candle closes, and what became of them; information, not financial advice. '
    'What follows from the outcome is NULL until the candle has closed';
COMMENT ON COLUMN forecasts.symbol IS 'Traded pair';
COMMENT ON COLUMN forecasts.interval IS 'Length of the candle';
COMMENT ON COLUMN forecasts.open_time IS 'First instant of the forecast candle';
COMMENT ON COLUMN forecasts.as_of IS 'Nothing later than this instant was used, by the exchange''s clock';
COMMENT ON COLUMN forecasts.model_id IS 'Model that made it';
COMMENT ON COLUMN forecasts.close_time IS 'Instant at which the candle closes';
COMMENT ON COLUMN forecasts.elapsed IS 'Share of the candle''s time that had passed, from 0 to just below 1';
COMMENT ON COLUMN forecasts.open IS 'Open of the candle as it was known, in the quote asset; before the first trade, the newest price before';
COMMENT ON COLUMN forecasts.last IS 'Newest price as of then';
COMMENT ON COLUMN forecasts.point IS 'Forecast close';
COMMENT ON COLUMN forecasts.low_80 IS 'Lower end of the band that holds the close with a probability of 80 %';
COMMENT ON COLUMN forecasts.high_80 IS 'Upper end of the 80 % band';
COMMENT ON COLUMN forecasts.low_90 IS 'Lower end of the band that holds the close with a probability of 90 %';
COMMENT ON COLUMN forecasts.high_90 IS 'Upper end of the 90 % band';
COMMENT ON COLUMN forecasts.probability_up IS 'Probability of a close above the newest price';
COMMENT ON COLUMN forecasts.probability_above_open IS 'Probability of a close above the open';
COMMENT ON COLUMN forecasts.companion_missing IS 'Whether the other pair''s candles were not there, which makes the bands a little worse';
COMMENT ON COLUMN forecasts.baselines IS 'What needs no forest said at the same instant; the view forecast_baselines unfolds it';
COMMENT ON COLUMN forecasts.stored_at IS 'When it was stored, by the database''s clock';
COMMENT ON COLUMN forecasts.scored_at IS 'When it was scored last; NULL until the candle has closed';
COMMENT ON COLUMN forecasts.actual_open IS 'Open of the closed candle';
COMMENT ON COLUMN forecasts.actual_close IS 'Close of the closed candle';
COMMENT ON COLUMN forecasts.log_return IS 'Log return from the newest price to the actual close';
COMMENT ON COLUMN forecasts.squared_error IS 'Squared log return from the point to the actual close';
COMMENT ON COLUMN forecasts.squared_error_if_stays IS 'Squared error of "the price stays"; the skill is 1 - sum(squared_error) / sum of this';
COMMENT ON COLUMN forecasts.hit IS 'Whether the more probable side of the newest price came true, no move counting as down';
COMMENT ON COLUMN forecasts.hit_above_open IS 'Whether the more probable side of the open came true, no move counting as down';
COMMENT ON COLUMN forecasts.brier IS 'Squared error of probability_up; 0.25 is a coin';
COMMENT ON COLUMN forecasts.brier_above_open IS 'Squared error of probability_above_open; 0.25 is a coin';
COMMENT ON COLUMN forecasts.in_band_80 IS 'Whether the actual close lies in the 80 % band, its ends included';
COMMENT ON COLUMN forecasts.in_band_90 IS 'Whether the actual close lies in the 90 % band, its ends included';
COMMENT ON COLUMN forecasts.pinball_loss IS 'Mean pinball loss of the bands'' ends, in basis points of the price';

CREATE VIEW forecast_baselines AS
SELECT f.symbol, f.interval, f.open_time, f.as_of, f.model_id, b.name, b.point, b.low_80, b.high_80, b.low_90, b.high_90,
    b.probability_up,
    ln(f.actual_close / b.point) ^ 2 AS squared_error,
    (b.probability_up - (f.actual_close > f.last)::integer) ^ 2 AS brier,
    f.actual_close BETWEEN b.low_80 AND b.high_80 AS in_band_80,
    f.actual_close BETWEEN b.low_90 AND b.high_90 AS in_band_90,
    bands_pinball_loss(b.low_80, b.high_80, b.low_90, b.high_90, f.actual_close) AS pinball_loss
FROM forecasts AS f, jsonb_to_recordset(f.baselines) AS b (
    name text, point double precision, low_80 double precision, high_80 double precision,
    low_90 double precision, high_90 double precision, probability_up double precision);

COMMENT ON VIEW forecast_baselines IS 'What the baselines said beside each forecast, and what became of it; a forecast is worth as much as it beats these by';
COMMENT ON COLUMN forecast_baselines.symbol IS 'Traded pair';
COMMENT ON COLUMN forecast_baselines.interval IS 'Length of the candle';
COMMENT ON COLUMN forecast_baselines.open_time IS 'First instant of the forecast candle';
COMMENT ON COLUMN forecast_baselines.as_of IS 'Nothing later than this instant was used';
COMMENT ON COLUMN forecast_baselines.model_id IS 'Model beside whose forecast it stands, and whose training set its widths';
COMMENT ON COLUMN forecast_baselines.name IS 'price stays, EWMA or HAR';
COMMENT ON COLUMN forecast_baselines.point IS 'Forecast close';
COMMENT ON COLUMN forecast_baselines.low_80 IS 'Lower end of the 80 % band';
COMMENT ON COLUMN forecast_baselines.high_80 IS 'Upper end of the 80 % band';
COMMENT ON COLUMN forecast_baselines.low_90 IS 'Lower end of the 90 % band';
COMMENT ON COLUMN forecast_baselines.high_90 IS 'Upper end of the 90 % band';
COMMENT ON COLUMN forecast_baselines.probability_up IS 'Probability of a close above the newest price; a half, as no baseline has a view of it';
COMMENT ON COLUMN forecast_baselines.squared_error IS 'Squared log return from the point to the actual close';
COMMENT ON COLUMN forecast_baselines.brier IS 'Squared error of probability_up; 0.25 is a coin';
COMMENT ON COLUMN forecast_baselines.in_band_80 IS 'Whether the actual close lies in the 80 % band, its ends included';
COMMENT ON COLUMN forecast_baselines.in_band_90 IS 'Whether the actual close lies in the 90 % band, its ends included';
COMMENT ON COLUMN forecast_baselines.pinball_loss IS 'Mean pinball loss of the bands'' ends, in basis points of the price';
