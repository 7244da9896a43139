DROP VIEW realized_volatility;
DROP VIEW forecast_accuracy;
DROP VIEW latest_prices;
DROP FUNCTION candles(text, text, timestamptz, timestamptz);
DROP FUNCTION stored_series_of;
DROP FUNCTION candle_ceiling;
