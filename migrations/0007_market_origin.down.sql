DROP TABLE market_origin;
