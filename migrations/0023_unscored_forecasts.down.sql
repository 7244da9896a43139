DROP INDEX forecasts_unscored_idx;
