-- A pause named no host so far: the public one is the likeliest by far.
DELETE FROM exchange_pauses WHERE until_time < (SELECT max(until_time) FROM exchange_pauses);
ALTER TABLE exchange_pauses ADD COLUMN host text COLLATE "C" NOT NULL DEFAULT 'data-api.binance.vision';
ALTER TABLE exchange_pauses ALTER COLUMN host DROP DEFAULT;
ALTER TABLE exchange_pauses DROP CONSTRAINT exchange_pauses_pkey;
ALTER TABLE exchange_pauses ADD CONSTRAINT exchange_pauses_pkey PRIMARY KEY (host);

COMMENT ON TABLE exchange_pauses IS 'Until when a host of the exchange asked not to be asked. '
    'To lift a pause all the same: DELETE FROM exchange_pauses WHERE host = ''...'', and start anew what runs, as it remembers';
COMMENT ON COLUMN exchange_pauses.host IS 'Host of the exchange''s address, with its port where the address names one';
