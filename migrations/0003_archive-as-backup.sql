-- Up Migration
-- The archive is a backup: which archives there are, and which versions have to be made again from them.

-- Its files are not there, or not what was published: they are made again from archive and ledger, or it is let go.
ALTER TABLE model_version ADD COLUMN lost boolean NOT NULL DEFAULT false;
CREATE INDEX model_version_lost ON model_version (model, version DESC) WHERE lost;

CREATE TABLE archive (
  model       text NOT NULL,
  version     integer NOT NULL CHECK (version > 0),
  -- DAMAGED where an object of it is not what it was; GOING from when it is let go until its objects are removed.
  state       text NOT NULL DEFAULT 'THERE' CHECK (state IN ('THERE', 'DAMAGED', 'GOING')),
  -- The kind's tables as they were archived; json, for it keeps the order of the columns.
  shape       json NOT NULL,
  -- [{table, key, bytes, rows, sha256}]; the object of an unchanged table is that of an earlier archive.
  tables      json NOT NULL,
  archived_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (model, version),
  FOREIGN KEY (model, version) REFERENCES model_version
);

INSERT INTO archive (model, version, shape, tables)
SELECT c.model, c.version, m.shape::json,
       json_agg(json_build_object('table', c.table_name, 'key', c.model || '/' || c.version || '/' || c.name,
                                  'bytes', c.bytes, 'rows', c.rows, 'sha256', c.sha256) ORDER BY c.name)
  FROM content_index c JOIN goal_model m ON m.id = c.model
 WHERE c.form = 'PARQUET' AND c.version > 0
 GROUP BY c.model, c.version, m.id;
