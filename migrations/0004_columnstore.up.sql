-- Old candles are packed by column where the edition can; they stay readable
-- and can still be corrected. Nothing depends on the policy having run.
DO $migration$
BEGIN
    IF current_setting('timescaledb.license') = 'timescale' THEN
        EXECUTE $sql$ALTER TABLE candles SET (
            timescaledb.enable_columnstore,
            timescaledb.segmentby = 'symbol, interval',
            timescaledb.orderby = 'open_time')$sql$;
        EXECUTE $sql$CALL add_columnstore_policy('candles', after => INTERVAL '1 year')$sql$;
    END IF;
END
$migration$;
