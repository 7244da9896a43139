DROP VIEW models_in_use;
DROP TABLE model_promotions;

-- A file without content is refused by those who read it, with the advice to train
-- again; forecasts refer to the record.
UPDATE models SET bytes = '' WHERE bytes IS NULL;
ALTER TABLE models
    DROP COLUMN settings,
    DROP COLUMN importance,
    DROP COLUMN promoted,
    DROP COLUMN verdict,
    ALTER COLUMN bytes SET NOT NULL;

COMMENT ON TABLE models IS 'Trained models; the one that has learnt the newest candles, last, makes the forecasts of a series';
COMMENT ON COLUMN models.bytes IS 'The model in its own file format, versioned and checksummed';
