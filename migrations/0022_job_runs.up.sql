CREATE TABLE job_processes (
    process_id text        NOT NULL,
    began_at   timestamptz NOT NULL DEFAULT now(),
    beat_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT job_processes_pkey PRIMARY KEY (process_id)
);
COMMENT ON TABLE job_processes IS 'Processes that work on jobs; one that has not been heard of for a while has ended, and others take up its runs';
COMMENT ON COLUMN job_processes.process_id IS 'Host and a random word; river_job.attempted_by has it too';
COMMENT ON COLUMN job_processes.began_at IS 'Since when it has been heard of without a break';
COMMENT ON COLUMN job_processes.beat_at IS 'When it was last heard of';

CREATE TABLE job_skips (
    skip_id      bigint      GENERATED ALWAYS AS IDENTITY,
    job          text        NOT NULL,
    symbol       text        NOT NULL,
    scheduled_at timestamptz NOT NULL,
    skipped_at   timestamptz NOT NULL DEFAULT now(),
    active_run   bigint      NOT NULL,
    CONSTRAINT job_skips_pkey PRIMARY KEY (skip_id),
    CONSTRAINT job_skips_due_key UNIQUE (job, symbol, scheduled_at)
);
CREATE INDEX job_skips_skipped_at_idx ON job_skips (skipped_at);
COMMENT ON TABLE job_skips IS 'Runs that were due while another one of the same job and symbol was active: it, or the next one, does their work';
COMMENT ON COLUMN job_skips.skip_id IS 'Rises with every skip';
COMMENT ON COLUMN job_skips.job IS 'Name of the job';
COMMENT ON COLUMN job_skips.symbol IS 'Symbol that it is of, empty where it is of none';
COMMENT ON COLUMN job_skips.scheduled_at IS 'When it was due';
COMMENT ON COLUMN job_skips.skipped_at IS 'When it was skipped';
COMMENT ON COLUMN job_skips.active_run IS 'The run that was active';

-- The newest run of a job and symbol, and the newest of all, are asked for all the time.
CREATE INDEX job_runs_job_idx ON river.river_job ((args ->> 'job'), (args ->> 'symbol'), created_at DESC, id DESC);
CREATE INDEX job_runs_created_at_idx ON river.river_job (created_at DESC, id DESC);

CREATE FUNCTION job_run_state(state river.river_job_state, attempt smallint, metadata jsonb)
    RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE state
        WHEN 'running' THEN 'running'
        WHEN 'retryable' THEN 'retrying'
        WHEN 'completed' THEN 'succeeded'
        WHEN 'discarded' THEN 'failed'
        -- The library calls it cancelled as well where a failure cannot pass.
        WHEN 'cancelled' THEN CASE WHEN metadata ? 'cancel_attempted_at' THEN 'cancelled' ELSE 'failed' END
        ELSE CASE WHEN attempt > 0 THEN 'retrying' ELSE 'queued' END
    END;
COMMENT ON FUNCTION job_run_state IS 'State of a run: queued, running, retrying, succeeded, failed or cancelled';

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
