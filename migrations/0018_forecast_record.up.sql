CREATE FUNCTION baseline_pinball_loss(baseline jsonb, actual double precision)
    RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN bands_pinball_loss(
        (baseline ->> 'low_80')::double precision, (baseline ->> 'high_80')::double precision,
        (baseline ->> 'low_90')::double precision, (baseline ->> 'high_90')::double precision, actual);
COMMENT ON FUNCTION baseline_pinball_loss IS
    'Mean pinball loss of a baseline''s quantiles 5, 10, 90 and 95 %, in basis points of the price; NULL where there is no baseline';

-- An interval of months is no length of time, a difference of instants is.
CREATE FUNCTION forecast_stage(open_time timestamptz, as_of timestamptz, elapsed double precision)
    RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN as_of - open_time < INTERVAL '1 minute' THEN 0 ELSE 1 + floor(4 * elapsed)::integer END;
COMMENT ON FUNCTION forecast_stage IS
    'How far a candle had come when it was forecast: 0 in its first minute, else 1 to 4, the quarter of its time';

-- What the baselines lost is kept beside the forecast: unfolding them takes ten times
-- as long as all the rest of a record. One statement, for it rewrites the table.
ALTER TABLE forecasts
    ADD COLUMN probability_analytic double precision,
    ADD COLUMN decision             text COLLATE "C",
    ADD COLUMN expected_gain        double precision,
    ADD COLUMN fee                  double precision,
    ADD COLUMN spread               double precision,
    ADD COLUMN brier_analytic       double precision GENERATED ALWAYS AS
        ((probability_analytic - (actual_close > actual_open)::integer) ^ 2) STORED,
    ADD COLUMN pinball_loss_stays   double precision GENERATED ALWAYS AS
        (baseline_pinball_loss(jsonb_path_query_first(baselines, '$[*] ? (@.name == "price stays")'), actual_close)) STORED,
    ADD COLUMN pinball_loss_ewma    double precision GENERATED ALWAYS AS
        (baseline_pinball_loss(jsonb_path_query_first(baselines, '$[*] ? (@.name == "EWMA")'), actual_close)) STORED,
    ADD COLUMN pinball_loss_har     double precision GENERATED ALWAYS AS
        (baseline_pinball_loss(jsonb_path_query_first(baselines, '$[*] ? (@.name == "HAR")'), actual_close)) STORED,
    ADD CONSTRAINT forecasts_probability_analytic_check CHECK (probability_analytic BETWEEN 0 AND 1),
    ADD CONSTRAINT forecasts_decision_check CHECK (
        num_nulls(decision, expected_gain, fee, spread) IN (0, 4)
        AND decision IN ('buy', 'sell', 'hold') AND fee BETWEEN 0 AND 0.1 AND spread BETWEEN 0 AND 0.1
        -- Not a number is greater than infinity.
        AND expected_gain > '-Infinity' AND expected_gain < 'Infinity' AND (decision = 'hold' OR expected_gain > 0));

COMMENT ON COLUMN forecasts.probability_analytic IS 'Probability of a close above the open by the normal distribution over the width of what is left of the candle; '
    'NULL in forecasts that were stored before it was kept';
COMMENT ON COLUMN forecasts.decision IS 'What the forecast would have one do until the close: buy, sell or hold; not financial advice. '
    'NULL in forecasts that were stored before it was kept, as what belongs to it';
COMMENT ON COLUMN forecasts.expected_gain IS 'What the better of buying and selling, and undoing it at the close, was expected to earn after costs, as a share of the price';
COMMENT ON COLUMN forecasts.fee IS 'Fee of one trade that the decision reckons with, twice, as a share of the price';
COMMENT ON COLUMN forecasts.spread IS 'Spread between bid and ask that the decision reckons with, as a share of the price';
COMMENT ON COLUMN forecasts.brier_analytic IS 'Squared error of probability_analytic; brier_above_open has to be below it, on average';
COMMENT ON COLUMN forecasts.pinball_loss IS 'Mean pinball loss over the quantiles 5, 10, 90 and 95 %, the ends of the two bands, in basis points of the price. '
    'That of models.metrics is over nine quantiles, and no measure to hold it against';
COMMENT ON COLUMN forecasts.pinball_loss_stays IS 'The same loss of the baseline "price stays"';
COMMENT ON COLUMN forecasts.pinball_loss_ewma IS 'The same loss of the baseline EWMA';
COMMENT ON COLUMN forecasts.pinball_loss_har IS 'The same loss of the baseline HAR';
COMMENT ON COLUMN forecast_baselines.pinball_loss IS 'Mean pinball loss over the quantiles 5, 10, 90 and 95 %, the ends of the two bands, in basis points of the price';

CREATE VIEW forecast_scores AS
SELECT symbol, interval, model_id, forecast_stage(open_time, as_of, elapsed) AS stage,
    (open_time AT TIME ZONE 'UTC')::date AS day,
    count(*) AS forecasts,
    count(DISTINCT open_time) AS candles,
    1 - sum(squared_error) / nullif(sum(squared_error_if_stays), 0) AS point_skill,
    avg(hit_above_open::integer)::double precision AS hit_rate,
    avg(brier_above_open) AS brier,
    CASE WHEN count(brier_analytic) = count(*) THEN avg(brier_analytic) END AS brier_analytic,
    avg(in_band_80::integer)::double precision AS coverage_80,
    avg(in_band_90::integer)::double precision AS coverage_90,
    1e4 * avg((high_80 - low_80) / last) AS width_80,
    1e4 * avg((high_90 - low_90) / last) AS width_90,
    avg(pinball_loss) AS pinball_loss,
    avg(pinball_loss_stays) AS pinball_loss_stays,
    avg(pinball_loss_ewma) AS pinball_loss_ewma,
    avg(pinball_loss_har) AS pinball_loss_har
FROM forecasts
WHERE scored_at IS NOT NULL
GROUP BY symbol, interval, model_id, stage, day;

COMMENT ON VIEW forecast_scores IS 'What became of the forecasts, by model, stage of the candle and day. '
    'At stage 0 there is one forecast a candle, at the others one a minute, so that several share an outcome. '
    'To sum up several rows, weigh them by forecasts; a skill over several is to be had from the table forecasts only';
COMMENT ON COLUMN forecast_scores.symbol IS 'Traded pair';
COMMENT ON COLUMN forecast_scores.interval IS 'Length of the candle';
COMMENT ON COLUMN forecast_scores.model_id IS 'Model that made the forecasts';
COMMENT ON COLUMN forecast_scores.stage IS 'How far the candle had come: 0 in its first minute, else 1 to 4, the quarter of its time';
COMMENT ON COLUMN forecast_scores.day IS 'Day, UTC, that the candles open on';
COMMENT ON COLUMN forecast_scores.forecasts IS 'Forecasts measured: those whose candle has closed';
COMMENT ON COLUMN forecast_scores.candles IS 'Candles that they are of';
COMMENT ON COLUMN forecast_scores.point_skill IS '1 - MSE / MSE of "the price stays", of log returns; above 0 is better';
COMMENT ON COLUMN forecast_scores.hit_rate IS 'Share of closes on the more probable side of the open, no move counting as below';
COMMENT ON COLUMN forecast_scores.brier IS 'Mean squared error of the probability of a close above the open; 0.25 is a coin';
COMMENT ON COLUMN forecast_scores.brier_analytic IS 'The same of probability_analytic; NULL where it was not stored with every forecast';
COMMENT ON COLUMN forecast_scores.coverage_80 IS 'Share of closes within the 80 % band';
COMMENT ON COLUMN forecast_scores.coverage_90 IS 'Share of closes within the 90 % band';
COMMENT ON COLUMN forecast_scores.width_80 IS 'Mean width of the 80 % band, in basis points of the newest price';
COMMENT ON COLUMN forecast_scores.width_90 IS 'Mean width of the 90 % band, in basis points of the newest price';
COMMENT ON COLUMN forecast_scores.pinball_loss IS 'Mean pinball loss over the quantiles 5, 10, 90 and 95 %, in basis points of the price';
COMMENT ON COLUMN forecast_scores.pinball_loss_stays IS 'The same loss of the baseline "price stays"';
COMMENT ON COLUMN forecast_scores.pinball_loss_ewma IS 'The same loss of the baseline EWMA';
COMMENT ON COLUMN forecast_scores.pinball_loss_har IS 'The same loss of the baseline HAR';
