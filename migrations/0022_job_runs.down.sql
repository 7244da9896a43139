DROP VIEW job_runs;
DROP FUNCTION job_run_state;
DROP INDEX river.job_runs_created_at_idx;
DROP INDEX river.job_runs_job_idx;
DROP TABLE job_skips;
DROP TABLE job_processes;
