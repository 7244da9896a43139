-- Two rows in 15 minutes are some 70,000 a year: no work for a hypertable.
CREATE TABLE coins (
    coin_id                 text COLLATE "C" NOT NULL,
    ticker                  text             NOT NULL,
    name                    text             NOT NULL,
    as_of                   timestamptz      NOT NULL,
    price                   double precision,
    market_cap              double precision,
    market_cap_rank         bigint,
    fully_diluted_valuation double precision,
    volume_24h              double precision,
    high_24h                double precision,
    low_24h                 double precision,
    price_change_24h        double precision,
    circulating_supply      double precision,
    total_supply            double precision,
    max_supply              double precision,
    all_time_high           double precision,
    all_time_high_at        timestamptz,
    all_time_low            double precision,
    all_time_low_at         timestamptz,
    fetched_at              timestamptz      NOT NULL DEFAULT now(),
    CONSTRAINT coins_pkey PRIMARY KEY (coin_id, as_of)
);

COMMENT ON TABLE coins IS 'Characteristics of coins as of many instants; NULL is what the source does not publish. Money is in US dollars, supplies are in coins';
COMMENT ON COLUMN coins.coin_id IS 'The source''s name for the coin, such as bitcoin';
COMMENT ON COLUMN coins.ticker IS 'Name on exchanges, in capitals, such as BTC';
COMMENT ON COLUMN coins.name IS 'Name for people, such as Bitcoin';
COMMENT ON COLUMN coins.as_of IS 'When the source last changed any of this';
COMMENT ON COLUMN coins.price IS 'Price of one coin';
COMMENT ON COLUMN coins.market_cap IS 'Price times circulating supply';
COMMENT ON COLUMN coins.market_cap_rank IS 'Rank by market cap; 1 is the largest';
COMMENT ON COLUMN coins.fully_diluted_valuation IS 'Price times the supply once all coins exist';
COMMENT ON COLUMN coins.volume_24h IS 'Traded in the last 24 hours, in US dollars';
COMMENT ON COLUMN coins.high_24h IS 'Highest price of the last 24 hours';
COMMENT ON COLUMN coins.low_24h IS 'Lowest price of the last 24 hours';
COMMENT ON COLUMN coins.price_change_24h IS 'Change of the price in the last 24 hours, in percent';
COMMENT ON COLUMN coins.circulating_supply IS 'Coins that can be traded';
COMMENT ON COLUMN coins.total_supply IS 'Coins that exist, the locked ones too';
COMMENT ON COLUMN coins.max_supply IS 'Coins that can ever exist; NULL where there is no bound';
COMMENT ON COLUMN coins.all_time_high IS 'Highest price ever';
COMMENT ON COLUMN coins.all_time_high_at IS 'When that was';
COMMENT ON COLUMN coins.all_time_low IS 'Lowest price ever';
COMMENT ON COLUMN coins.all_time_low_at IS 'When that was';
COMMENT ON COLUMN coins.fetched_at IS 'When these values were stored';
