CREATE TABLE exchange_pauses (
    until_time timestamptz NOT NULL PRIMARY KEY,
    reason     text        NOT NULL,
    told_at    timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE exchange_pauses IS 'When the exchange asked not to be asked; the row with the latest until_time holds';
COMMENT ON COLUMN exchange_pauses.until_time IS 'It must not be asked before, by our clock';
COMMENT ON COLUMN exchange_pauses.reason IS 'What the exchange said, for people';
COMMENT ON COLUMN exchange_pauses.told_at IS 'When it was recorded';
