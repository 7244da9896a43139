-- Both halves have columns of the very same types and no condition, or the newest of all
-- runs could not be read by the indexes. All that is in the queue are runs.
CREATE OR REPLACE VIEW job_runs AS
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
           THEN 'cancelled by ' || (j.metadata ->> 'cancelled_by') END AS reason,
       coalesce(j.metadata ->> 'retried_by', '') AS retried_by,
       -- A run that was cancelled and retried is not called off any more.
       CASE WHEN j.metadata ? 'cancel_attempted_at' THEN coalesce(j.metadata ->> 'cancelled_by', '') ELSE '' END AS cancelled_by
FROM river.river_job AS j
UNION ALL
SELECT -s.skip_id, s.job, s.symbol, 'skipped'::text, 'schedule'::text, ''::text, s.scheduled_at, s.skipped_at, NULL::timestamptz, s.skipped_at,
       NULL::interval, NULL::timestamptz, 0::integer, 0::integer, NULL::text, 0::bigint, NULL::jsonb, NULL::timestamptz, NULL::timestamptz,
       'run ' || s.active_run || ' was active', ''::text, ''::text
FROM job_skips AS s;
COMMENT ON COLUMN job_runs.retried_by IS 'Who asked last for another attempt, empty where nobody did';
COMMENT ON COLUMN job_runs.cancelled_by IS 'Who called it off, empty where nobody did';

-- The library ends whatever attempt is running. One that was given to another process
-- meanwhile must neither be ended nor overwritten by the process that had it before, so
-- that each says which attempt it ends.
CREATE FUNCTION fence_job_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.metadata -> 'ends' ->> 'instance' IS DISTINCT FROM OLD.attempted_by[cardinality(OLD.attempted_by)]
        OR NEW.metadata -> 'ends' ->> 'attempt' IS DISTINCT FROM OLD.attempt::text THEN
        RETURN NULL;
    END IF;
    NEW.metadata := NEW.metadata - 'ends';
    RETURN NEW;
END $$;
COMMENT ON FUNCTION fence_job_run IS 'Refuses what a process says of an attempt that is not its own any more';
CREATE TRIGGER job_run_fence BEFORE UPDATE ON river.river_job
    FOR EACH ROW WHEN (NEW.metadata ? 'ends') EXECUTE FUNCTION fence_job_run();
