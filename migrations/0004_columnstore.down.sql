DO $migration$
BEGIN
    IF current_setting('timescaledb.license') = 'timescale' THEN
        EXECUTE $sql$CALL remove_columnstore_policy('candles')$sql$;
        PERFORM decompress_chunk(c, true) FROM show_chunks('candles') AS c;
        EXECUTE $sql$ALTER TABLE candles SET (timescaledb.enable_columnstore = false)$sql$;
    END IF;
END
$migration$;
