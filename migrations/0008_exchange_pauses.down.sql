DROP TABLE exchange_pauses;
