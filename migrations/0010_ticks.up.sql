CREATE TABLE ticks (
    symbol                 text COLLATE "C"  NOT NULL,
    interval               text COLLATE "C"  NOT NULL,
    sampled_at             timestamptz       NOT NULL,
    open_time              timestamptz       NOT NULL,
    open                   double precision  NOT NULL,
    high                   double precision  NOT NULL,
    low                    double precision  NOT NULL,
    close                  double precision  NOT NULL,
    volume                 double precision  NOT NULL,
    quote_volume           double precision,
    trades                 bigint,
    taker_buy_volume       double precision,
    taker_buy_quote_volume double precision,
    first_trade_id         bigint,
    last_trade_id          bigint,
    exchange_time          timestamptz       NOT NULL,
    received_at            timestamptz       NOT NULL,
    CONSTRAINT ticks_pkey PRIMARY KEY (symbol, sampled_at),
    CONSTRAINT ticks_prices_check CHECK (low > 0 AND low <= high)
);

-- A sample every 5 seconds is 17,280 rows a day. Seven days of two pairs are
-- 242,000 rows or 55 MB, which stays in memory, and a year is 52 chunks to plan
-- over. With hundreds of pairs a day is enough: set_chunk_time_interval.
SELECT create_hypertable('ticks', by_range('sampled_at', INTERVAL '7 days'), create_default_indexes => false);

-- For the newest rows of all symbols at once, in stream_crypto_data.
CREATE INDEX ticks_newest ON ticks (sampled_at DESC);

COMMENT ON TABLE ticks IS 'Samples of the live market: the open candle as it stood at an instant; those that are missing are in stream_gaps';
COMMENT ON COLUMN ticks.symbol IS 'Traded pair';
COMMENT ON COLUMN ticks.interval IS 'Length of the open candle';
COMMENT ON COLUMN ticks.sampled_at IS 'Instant of the sample on its grid, by the exchange''s clock';
COMMENT ON COLUMN ticks.open_time IS 'First instant of the open candle';
COMMENT ON COLUMN ticks.open IS 'First price of the candle, in the quote asset';
COMMENT ON COLUMN ticks.high IS 'Highest price of the candle so far';
COMMENT ON COLUMN ticks.low IS 'Lowest price of the candle so far';
COMMENT ON COLUMN ticks.close IS 'Newest price';
COMMENT ON COLUMN ticks.volume IS 'Traded amount of the candle so far, in the base asset';
COMMENT ON COLUMN ticks.quote_volume IS 'Traded amount of the candle so far, in the quote asset; NULL where the source does not publish it';
COMMENT ON COLUMN ticks.trades IS 'Number of trades of the candle so far; NULL where the source does not publish it';
COMMENT ON COLUMN ticks.taker_buy_volume IS 'Amount bought by takers so far, in the base asset; NULL where the source does not publish it';
COMMENT ON COLUMN ticks.taker_buy_quote_volume IS 'Amount bought by takers so far, in the quote asset; NULL where the source does not publish it';
COMMENT ON COLUMN ticks.first_trade_id IS 'The exchange''s number of the candle''s first trade; NULL while it has none';
COMMENT ON COLUMN ticks.last_trade_id IS 'The exchange''s number of the candle''s newest trade; NULL while it has none';
COMMENT ON COLUMN ticks.exchange_time IS 'When the exchange said so, by its clock';
COMMENT ON COLUMN ticks.received_at IS 'When it came in, by our clock';

-- As with candles: nothing depends on the policy having run.
DO $migration$
BEGIN
    IF current_setting('timescaledb.license') = 'timescale' THEN
        EXECUTE $sql$ALTER TABLE ticks SET (
            timescaledb.enable_columnstore,
            timescaledb.segmentby = 'symbol',
            timescaledb.orderby = 'sampled_at')$sql$;
        EXECUTE $sql$CALL add_columnstore_policy('ticks', after => INTERVAL '14 days')$sql$;
    END IF;
END
$migration$;

CREATE VIEW stream_crypto_data AS
SELECT
    exchange_time AS event_time,
    symbol,
    close AS price,
    interval,
    open_time,
    candle_next(interval, open_time) AS close_time,
    open AS open_price,
    high AS high_price,
    low AS low_price,
    close AS close_price,
    volume,
    quote_volume,
    trades AS number_of_trades,
    taker_buy_volume,
    taker_buy_quote_volume,
    first_trade_id,
    last_trade_id,
    sampled_at >= candle_next(interval, open_time) AS is_closed,
    sampled_at,
    received_at
FROM ticks
ORDER BY sampled_at DESC, symbol;

COMMENT ON VIEW stream_crypto_data IS 'The live market as it was sampled, the latest row first; the same rows as ticks';
COMMENT ON COLUMN stream_crypto_data.event_time IS 'When the exchange said so, by its clock';
COMMENT ON COLUMN stream_crypto_data.symbol IS 'Traded pair';
COMMENT ON COLUMN stream_crypto_data.price IS 'Newest price, in the quote asset';
COMMENT ON COLUMN stream_crypto_data.interval IS 'Length of the candle that the row is about';
COMMENT ON COLUMN stream_crypto_data.open_time IS 'First instant of that candle';
COMMENT ON COLUMN stream_crypto_data.close_time IS 'Instant at which it closes and the next one opens';
COMMENT ON COLUMN stream_crypto_data.open_price IS 'First price of the candle';
COMMENT ON COLUMN stream_crypto_data.high_price IS 'Highest price of the candle so far';
COMMENT ON COLUMN stream_crypto_data.low_price IS 'Lowest price of the candle so far';
COMMENT ON COLUMN stream_crypto_data.close_price IS 'Close of the candle so far: the price';
COMMENT ON COLUMN stream_crypto_data.volume IS 'Traded amount of the candle so far, in the base asset';
COMMENT ON COLUMN stream_crypto_data.quote_volume IS 'Traded amount of the candle so far, in the quote asset';
COMMENT ON COLUMN stream_crypto_data.number_of_trades IS 'Trades of the candle so far';
COMMENT ON COLUMN stream_crypto_data.taker_buy_volume IS 'Amount bought by takers so far, in the base asset';
COMMENT ON COLUMN stream_crypto_data.taker_buy_quote_volume IS 'Amount bought by takers so far, in the quote asset';
COMMENT ON COLUMN stream_crypto_data.first_trade_id IS 'The exchange''s number of the candle''s first trade; NULL while it has none';
COMMENT ON COLUMN stream_crypto_data.last_trade_id IS 'The exchange''s number of the candle''s newest trade; NULL while it has none';
COMMENT ON COLUMN stream_crypto_data.is_closed IS 'Whether the candle had closed when the sample was taken; then nothing was known of the next one yet';
COMMENT ON COLUMN stream_crypto_data.sampled_at IS 'Instant of the sample on its grid, by the exchange''s clock';
COMMENT ON COLUMN stream_crypto_data.received_at IS 'When the event came in, by our clock';
