-- Text under the C collation: names are compared byte by byte, whatever the
-- database's locale, and the key's index is smaller work.
CREATE TABLE candles (
    symbol                 text COLLATE "C"  NOT NULL,
    interval               text COLLATE "C"  NOT NULL,
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
    CONSTRAINT candles_pkey PRIMARY KEY (symbol, interval, open_time),
    CONSTRAINT candles_prices_check CHECK (low > 0 AND low <= high),
    CONSTRAINT candles_interval_check CHECK (interval IN (
        '1m', '3m', '5m', '15m', '30m', '1h', '2h', '4h', '6h', '8h', '12h', '1d', '3d', '1w', '1M'))
);

-- 90 days of a pair's 15m candles are 8,640 rows; of its 1m candles 129,600.
-- The key serves every query by time, so the default index is left out.
SELECT create_hypertable('candles', by_range('open_time', INTERVAL '90 days'), create_default_indexes => false);

COMMENT ON TABLE candles IS 'Candles as the exchange delivered them, at the interval they were delivered at';
COMMENT ON COLUMN candles.symbol IS 'Traded pair under Binance''s name, such as BTCUSDT';
COMMENT ON COLUMN candles.interval IS 'Length of the candle under Binance''s name; 1m is a minute, 1M a month';
COMMENT ON COLUMN candles.open_time IS 'First instant of the candle; it closes where the next one opens';
COMMENT ON COLUMN candles.open IS 'First price, in the quote asset';
COMMENT ON COLUMN candles.high IS 'Highest price, in the quote asset';
COMMENT ON COLUMN candles.low IS 'Lowest price, in the quote asset';
COMMENT ON COLUMN candles.close IS 'Last price, in the quote asset';
COMMENT ON COLUMN candles.volume IS 'Traded amount, in the base asset';
COMMENT ON COLUMN candles.quote_volume IS 'Traded amount, in the quote asset; NULL where the source does not publish it';
COMMENT ON COLUMN candles.trades IS 'Number of trades; NULL where the source does not publish it';
COMMENT ON COLUMN candles.taker_buy_volume IS 'Amount bought by takers, in the base asset; NULL where the source does not publish it';
COMMENT ON COLUMN candles.taker_buy_quote_volume IS 'Amount bought by takers, in the quote asset; NULL where the source does not publish it';
