-- The pause that lasts longest holds, for whatever host.
DELETE FROM exchange_pauses AS p USING exchange_pauses AS other
    WHERE (other.until_time, other.host) > (p.until_time, p.host);
ALTER TABLE exchange_pauses DROP CONSTRAINT exchange_pauses_pkey;
ALTER TABLE exchange_pauses DROP COLUMN host;
ALTER TABLE exchange_pauses ADD CONSTRAINT exchange_pauses_pkey PRIMARY KEY (until_time);

COMMENT ON TABLE exchange_pauses IS 'When the exchange asked not to be asked; the row with the latest until_time holds';
