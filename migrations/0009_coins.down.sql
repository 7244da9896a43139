DROP TABLE coins;
