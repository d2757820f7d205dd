-- Up Migration
-- The versions of other models that query runs read: each is kept until the run has ended, when its rows go.

CREATE TABLE query_run_read (
  query_run uuid NOT NULL REFERENCES query_run,
  -- As the run's function knows it: the argument that named the model, in the order of the arguments.
  position  smallint NOT NULL,
  alias     text NOT NULL,
  model     text NOT NULL,
  version   integer NOT NULL,
  PRIMARY KEY (query_run, position),
  FOREIGN KEY (model, version) REFERENCES model_version
);
CREATE INDEX query_run_read_version ON query_run_read (model, version);
