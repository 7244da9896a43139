DROP VIEW forecast_scores;
ALTER TABLE forecasts
    DROP CONSTRAINT forecasts_decision_check,
    DROP COLUMN pinball_loss_har,
    DROP COLUMN pinball_loss_ewma,
    DROP COLUMN pinball_loss_stays,
    DROP COLUMN brier_analytic,
    DROP COLUMN spread,
    DROP COLUMN fee,
    DROP COLUMN expected_gain,
    DROP COLUMN decision,
    DROP COLUMN probability_analytic;
COMMENT ON COLUMN forecasts.pinball_loss IS 'Mean pinball loss of the bands'' ends, in basis points of the price';
COMMENT ON COLUMN forecast_baselines.pinball_loss IS 'Mean pinball loss of the bands'' ends, in basis points of the price';
DROP FUNCTION forecast_stage;
DROP FUNCTION baseline_pinball_loss;
