CREATE TABLE models (
    id           bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    symbol       text COLLATE "C" NOT NULL,
    interval     text COLLATE "C" NOT NULL,
    trained_at   timestamptz      NOT NULL DEFAULT now(),
    window_start timestamptz      NOT NULL,
    window_end   timestamptz      NOT NULL,
    rows         bigint           NOT NULL,
    skipped      bigint           NOT NULL,
    data_hash    text             NOT NULL,
    features     text[]           NOT NULL,
    metrics      jsonb            NOT NULL,
    bytes        bytea            NOT NULL,
    -- The same rows under the same settings give the same model: training twice
    -- must not make two of it.
    CONSTRAINT models_data_hash_key UNIQUE (symbol, interval, data_hash)
);
CREATE INDEX models_newest ON models (symbol, interval, window_end DESC, trained_at DESC);

COMMENT ON TABLE models IS 'Trained models; the one that has learnt the newest candles, last, makes the forecasts of a series';
COMMENT ON COLUMN models.id IS 'Number of the model; training on the same rows again keeps it';
COMMENT ON COLUMN models.symbol IS 'Traded pair whose candles it forecasts';
COMMENT ON COLUMN models.interval IS 'Interval of the candles that it forecasts';
COMMENT ON COLUMN models.trained_at IS 'When the training ended';
COMMENT ON COLUMN models.window_start IS 'Open time of the first candle learnt from';
COMMENT ON COLUMN models.window_end IS 'Close time of the last candle learnt from';
COMMENT ON COLUMN models.rows IS 'Training rows';
COMMENT ON COLUMN models.skipped IS 'Candles of the window that could not be learnt from: the first ones, those behind a gap, incomplete ones';
COMMENT ON COLUMN models.data_hash IS 'SHA-256 of the training rows and of everything that decides how they are learnt from, hexadecimal';
COMMENT ON COLUMN models.features IS 'Names of the features, in order';
COMMENT ON COLUMN models.metrics IS 'Measured on the newest month by a model that had not seen it';
COMMENT ON COLUMN models.bytes IS 'The model in its own file format, versioned and checksummed';
