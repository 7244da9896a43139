CREATE TABLE market_origin (
    single     boolean     NOT NULL DEFAULT true PRIMARY KEY,
    origin     text        NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT market_origin_one_row_check CHECK (single),
    CONSTRAINT market_origin_check CHECK (origin IN ('real', 'simulated'))
);

COMMENT ON TABLE market_origin IS 'Where all candles of this database come from: one row, none as long as nobody has claimed it';
COMMENT ON COLUMN market_origin.single IS 'Always true, so that there is one row';
COMMENT ON COLUMN market_origin.origin IS 'real (a market on which money changes hands) or simulated (the offline exchange)';
COMMENT ON COLUMN market_origin.claimed_at IS 'When it was claimed';

-- There was no offline exchange before.
INSERT INTO market_origin (origin) SELECT 'real' WHERE EXISTS (SELECT FROM candles);
