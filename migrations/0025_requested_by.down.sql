DROP TRIGGER job_run_fence ON river.river_job;
DROP FUNCTION fence_job_run;
DROP VIEW job_runs;
CREATE VIEW job_runs AS
SELECT j.id,
       j.args ->> 'job' AS job,
       j.args ->> 'symbol' AS symbol,
       job_run_state(j.state, j.attempt, j.metadata) AS state,
       j.args ->> 'trigger' AS trigger,
       j.args ->> 'by' AS requested_by,
       (j.args ->> 'scheduled_at')::timestamptz AS scheduled_at,
       j.created_at AS queued_at,
       j.attempted_at AS started_at,
       j.finalized_at AS ended_at,
       CASE WHEN j.attempted_at IS NOT NULL THEN coalesce(j.finalized_at, CASE WHEN j.state = 'running' THEN now() END) - j.attempted_at END AS duration,
       CASE WHEN j.state IN ('retryable', 'scheduled') THEN j.scheduled_at END AS next_attempt_at,
       j.attempt::integer AS attempts,
       j.max_attempts::integer AS attempts_allowed,
       j.errors[cardinality(j.errors)] ->> 'error' AS error,
       (SELECT coalesce(sum(value::bigint), 0)::bigint FROM jsonb_each_text(j.metadata -> 'output')) AS rows,
       j.metadata -> 'output' AS report,
       (j.args ->> 'wanted_start')::timestamptz AS wanted_start,
       (j.args ->> 'wanted_end')::timestamptz AS wanted_end,
       CASE WHEN j.state = 'cancelled' AND j.metadata ?& '{cancelled_by,cancel_attempted_at}'
           THEN 'cancelled by ' || (j.metadata ->> 'cancelled_by') END AS reason
FROM river.river_job AS j
WHERE j.kind = 'run'
UNION ALL
SELECT -s.skip_id, s.job, s.symbol, 'skipped', 'schedule', '', s.scheduled_at, s.skipped_at, NULL, s.skipped_at, NULL, NULL, 0, 0, NULL, 0, NULL, NULL, NULL,
       'run ' || s.active_run || ' was active'
FROM job_skips AS s;
COMMENT ON VIEW job_runs IS 'Runs of the jobs, and those that were skipped';
COMMENT ON COLUMN job_runs.id IS 'Number of the run; that of a skipped one is negative';
COMMENT ON COLUMN job_runs.job IS 'Name of the job: ingest, train, score or maintain';
COMMENT ON COLUMN job_runs.symbol IS 'Symbol that it is of, empty where it is of none';
COMMENT ON COLUMN job_runs.state IS 'queued, running, retrying, succeeded, failed, cancelled or skipped';
COMMENT ON COLUMN job_runs.trigger IS 'Why there is such a run: schedule, catch_up, person or change';
COMMENT ON COLUMN job_runs.requested_by IS 'Who asked for it, empty where nobody did';
COMMENT ON COLUMN job_runs.scheduled_at IS 'When it was due, or asked for';
COMMENT ON COLUMN job_runs.queued_at IS 'When it was put into the queue';
COMMENT ON COLUMN job_runs.started_at IS 'When the newest attempt began';
COMMENT ON COLUMN job_runs.ended_at IS 'When it ended for good';
COMMENT ON COLUMN job_runs.duration IS 'Of the newest attempt';
COMMENT ON COLUMN job_runs.next_attempt_at IS 'When it is tried again';
COMMENT ON COLUMN job_runs.attempts IS 'How often it was tried';
COMMENT ON COLUMN job_runs.attempts_allowed IS 'How often it is tried at most';
COMMENT ON COLUMN job_runs.error IS 'What the newest failure said';
COMMENT ON COLUMN job_runs.rows IS 'How many rows it wrote';
COMMENT ON COLUMN job_runs.report IS 'How many rows it wrote, by kind';
COMMENT ON COLUMN job_runs.wanted_start IS 'Of a backfill, the first candle that it is to fetch';
COMMENT ON COLUMN job_runs.wanted_end IS 'Of a backfill, the end of what it is to fetch, exclusive';
COMMENT ON COLUMN job_runs.reason IS 'Why it was skipped or cancelled';
