DROP VIEW stream_coverage;
DROP TABLE stream_gaps;
