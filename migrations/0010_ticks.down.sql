DROP VIEW stream_crypto_data;
-- The columnstore and its policy go with the table.
DROP TABLE ticks;
