-- Up Migration
-- Query runs: long reads, run by whichever server takes them up, and told of in the model's log when they have ended.

CREATE TABLE query_run (
  id              uuid PRIMARY KEY,
  model           text NOT NULL,
  -- What it reads, which is kept until it has ended.
  version         integer NOT NULL,
  -- {is: "sql", statement, params} or {is: "function", name, args}
  work            json NOT NULL,
  -- Of what was asked for: what an idempotency key is compared by.
  digest          bytea NOT NULL,
  idempotency_key text,
  state           text NOT NULL DEFAULT 'QUEUED' CHECK (state IN ('QUEUED', 'RUNNING', 'DONE', 'FAILED', 'CANCELLED')),
  -- Counts the times that it was taken up: what an earlier one still tries is refused.
  attempt         integer NOT NULL DEFAULT 0,
  -- How often its server did not come back from it.
  deaths          integer NOT NULL DEFAULT 0,
  -- While RUNNING: until when its server has it, if it does not say more.
  held_until      timestamptz,
  -- While QUEUED: not taken up before.
  retry_at        timestamptz,
  error           json,
  -- Of the result: [{name, type, stored, isJson, nullable}].
  columns         json,
  row_count       bigint,
  -- Until when the result is kept.
  expires_at      timestamptz,
  submitted_by    text,
  submitted_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  started_at      timestamptz,
  ended_at        timestamptz,
  traceparent     text NOT NULL,
  FOREIGN KEY (model, version) REFERENCES model_version,
  CHECK ((state IN ('QUEUED', 'RUNNING')) = (ended_at IS NULL)),
  CHECK ((state = 'RUNNING') = (held_until IS NOT NULL)),
  CHECK ((state = 'DONE') = (row_count IS NOT NULL AND columns IS NOT NULL AND expires_at IS NOT NULL))
);
CREATE UNIQUE INDEX query_run_idempotency ON query_run (model, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX query_run_waiting ON query_run (model, version) WHERE ended_at IS NULL;

-- A completion is of an intent or of a query run.
ALTER TABLE completion
  ALTER COLUMN intent DROP NOT NULL,
  ADD COLUMN query_run uuid REFERENCES query_run,
  ADD CHECK (num_nonnulls(intent, query_run) = 1);
CREATE INDEX completion_query_run ON completion (query_run) WHERE query_run IS NOT NULL;

-- The run whose result a file in the store is.
ALTER TABLE content_index ADD COLUMN query_run uuid REFERENCES query_run;
CREATE INDEX content_index_query_run ON content_index (query_run) WHERE query_run IS NOT NULL;
