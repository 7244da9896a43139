DO $migration$
BEGIN
    EXECUTE CASE WHEN EXISTS (SELECT FROM timescaledb_information.continuous_aggregates WHERE view_name = 'ticks_1m')
        THEN 'DROP MATERIALIZED VIEW ticks_1m' ELSE 'DROP VIEW ticks_1m' END;
END
$migration$;
