DROP VIEW forecast_baselines;
DROP TABLE forecasts;
DROP FUNCTION bands_pinball_loss;
DROP FUNCTION pinball_loss;
