-- Weeks and months first: they are built on days. A continuous aggregate and a
-- plain view are dropped by different words.
DO $migration$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['candles_1mo', 'candles_1w', 'candles_3d', 'candles_1d', 'candles_12h', 'candles_8h',
        'candles_6h', 'candles_4h', 'candles_2h', 'candles_1h', 'candles_30m', 'candles_15m', 'candles_5m', 'candles_3m']
    LOOP
        EXECUTE format(
            CASE WHEN EXISTS (SELECT FROM timescaledb_information.continuous_aggregates WHERE view_name = name)
                THEN 'DROP MATERIALIZED VIEW %I' ELSE 'DROP VIEW %I' END, name);
    END LOOP;
END
$migration$;
