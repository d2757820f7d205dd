-- Up Migration
-- The control database. The ledger (intent) is the truth about what was asked; versions, content and completions say what
-- was done. Forward only.

CREATE TABLE goal_model (
  id               text PRIMARY KEY CHECK (id ~ '^[a-z][a-z0-9-]{0,62}$'),
  name             text NOT NULL,
  kind             text NOT NULL,
  shape            jsonb NOT NULL,
  engine           text NOT NULL CHECK (engine IN ('DUCKDB', 'ARROW')),
  size             text NOT NULL CHECK (size IN ('SMALL', 'MEDIUM', 'LARGE', 'XLARGE')),
  created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- An id is never given twice: the row of a deleted model stays.
  deleted_at       timestamptz,
  -- Counts the model's managers. Publishing says "where epoch = mine and version = N - 1".
  epoch            integer NOT NULL DEFAULT 0,
  version          integer NOT NULL DEFAULT 0,
  last_seq         bigint NOT NULL DEFAULT 0,
  next_seq         bigint NOT NULL DEFAULT 1,
  -- The position of the newest completion in the model's log.
  completions      bigint NOT NULL DEFAULT 0,
  archived_version integer NOT NULL DEFAULT 0,
  -- Why the model is BLOCKED: {code, message}; null while it is not.
  blocked          jsonb,
  retry_at         timestamptz
);
CREATE INDEX goal_model_living ON goal_model (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX goal_model_blocked ON goal_model (id) WHERE blocked IS NOT NULL;

CREATE TABLE model_read (
  model text NOT NULL REFERENCES goal_model,
  reads text NOT NULL REFERENCES goal_model CHECK (reads <> model),
  PRIMARY KEY (model, reads)
);
CREATE INDEX model_read_reads ON model_read (reads, model);

CREATE TABLE model_lease (
  model      text PRIMARY KEY REFERENCES goal_model,
  owner      uuid NOT NULL,
  epoch      integer NOT NULL,
  since      timestamptz NOT NULL DEFAULT clock_timestamp(),
  expires_at timestamptz NOT NULL
);
CREATE INDEX model_lease_owner ON model_lease (owner);

CREATE TABLE model_version (
  model        text NOT NULL REFERENCES goal_model,
  version      integer NOT NULL CHECK (version >= 0),
  epoch        integer NOT NULL,
  last_seq     bigint NOT NULL,
  -- The newest completion of the model as this version was published: where a reader of it subscribes from.
  completions  bigint NOT NULL,
  published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- Rows per table, in the kind's order: [{name, rows}].
  tables       jsonb NOT NULL,
  -- Whether its files are there to be read.
  kept         boolean NOT NULL DEFAULT true,
  PRIMARY KEY (model, version)
);
CREATE INDEX model_version_kept ON model_version (model, version DESC) WHERE kept;
CREATE INDEX model_version_published ON model_version (model, published_at DESC);

CREATE TABLE intent (
  id              uuid PRIMARY KEY,
  model           text NOT NULL REFERENCES goal_model,
  seq             bigint NOT NULL CHECK (seq > 0),
  function        text NOT NULL,
  arguments       json NOT NULL,
  -- Of the arguments as text: what bounds a batch.
  bytes           integer NOT NULL,
  -- Of function and arguments: what an idempotency key is compared by.
  digest          bytea NOT NULL,
  idempotency_key text,
  -- Functions and imports are a batch of their own.
  alone           boolean NOT NULL,
  -- The model whose version started it, for triggers.
  source          text REFERENCES goal_model,
  -- The upload that it imports, which may be collected once an archive holds its rows.
  upload          uuid,
  status          text NOT NULL DEFAULT 'QUEUED'
                  CHECK (status IN ('QUEUED', 'RUNNING', 'PUBLISHED', 'FAILED', 'CANCELLED', 'PARKED')),
  progress        real,
  step            text,
  attempts        integer NOT NULL DEFAULT 0,
  -- How often it ran alone, after a manager's death, and its manager did not come back from it.
  solo            integer NOT NULL DEFAULT 0,
  -- The manager that was counted last, by the owner of its leases.
  solo_owner      uuid,
  version         integer,
  result          json,
  error           json,
  submitted_by    text,
  submitted_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  started_at      timestamptz,
  ended_at        timestamptz,
  traceparent     text NOT NULL,
  UNIQUE (model, seq),
  CHECK ((status = 'PUBLISHED') = (version IS NOT NULL)),
  CHECK ((status IN ('QUEUED', 'RUNNING')) = (ended_at IS NULL))
);
CREATE UNIQUE INDEX intent_idempotency ON intent (model, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX intent_waiting ON intent (model, seq) WHERE status IN ('QUEUED', 'RUNNING');
-- At most one waiting trigger per function and source.
CREATE UNIQUE INDEX intent_trigger ON intent (model, function, source) WHERE status = 'QUEUED' AND source IS NOT NULL;
CREATE INDEX intent_upload ON intent (upload) WHERE upload IS NOT NULL;
CREATE INDEX intent_newest ON intent (submitted_at DESC, id DESC);
CREATE INDEX intent_version ON intent (model, version) WHERE version IS NOT NULL;

-- The versions of other models that an intent reads: written before it is applied, and kept until an archive holds it.
CREATE TABLE intent_read (
  intent  uuid NOT NULL REFERENCES intent,
  alias   text NOT NULL,
  model   text NOT NULL,
  version integer NOT NULL,
  PRIMARY KEY (intent, alias),
  FOREIGN KEY (model, version) REFERENCES model_version
);
CREATE INDEX intent_read_version ON intent_read (model, version);

-- The log of what has ended, per model without a gap.
CREATE TABLE completion (
  model    text NOT NULL REFERENCES goal_model,
  position bigint NOT NULL CHECK (position > 0),
  intent   uuid NOT NULL REFERENCES intent,
  at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (model, position)
);
CREATE INDEX completion_intent ON completion (intent);

CREATE TABLE content_index (
  id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  model      text NOT NULL,
  version    integer NOT NULL,
  form       text NOT NULL CHECK (form IN ('DUCKDB', 'PARQUET', 'ARROW', 'RESULT')),
  table_name text,
  name       text NOT NULL,
  uri        text NOT NULL,
  bytes      bigint NOT NULL,
  rows       bigint,
  sha256     text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  FOREIGN KEY (model, version) REFERENCES model_version,
  UNIQUE (model, version, form, name)
);
CREATE INDEX content_index_newest ON content_index (model, version DESC, form, name);

CREATE TABLE version_pin (
  model      text NOT NULL,
  version    integer NOT NULL,
  label      text NOT NULL CHECK (label <> ''),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (model, version, label),
  FOREIGN KEY (model, version) REFERENCES model_version
);

CREATE TABLE upload (
  id         uuid PRIMARY KEY,
  key        text NOT NULL,
  format     text NOT NULL CHECK (format IN ('PARQUET', 'CSV', 'NDJSON', 'ARROW')),
  -- COMING while its bytes are on their way, GOING while they are being removed: whatever is in the store has a row.
  state      text NOT NULL DEFAULT 'COMING' CHECK (state IN ('COMING', 'THERE', 'GOING')),
  bytes      bigint,
  sha256     text,
  -- What the file holds, once somebody asked: [{name, type, nullable}] and how many rows.
  columns    jsonb,
  rows       bigint,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- When an intent last asked for it: it is collected by this age, never earlier than a reference can come.
  used_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  CHECK (state <> 'THERE' OR (bytes IS NOT NULL AND sha256 IS NOT NULL))
);
CREATE INDEX upload_age ON upload (used_at);
