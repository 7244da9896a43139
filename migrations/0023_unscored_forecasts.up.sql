-- The few forecasts that wait for their candle, among millions: all of them are looked
-- up every few minutes.
CREATE INDEX forecasts_unscored_idx ON forecasts (symbol, interval, open_time) WHERE scored_at IS NULL;
