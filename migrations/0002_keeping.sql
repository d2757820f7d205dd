-- Up Migration
-- What versions are kept for: who reads them, and from which somebody pages.

-- A process that opens versions. It renews its row while it lives; once that is removed, its leases are gone with it, and
-- they never come back: the process is another reader then.
CREATE TABLE version_reader (
  id         uuid PRIMARY KEY,
  expires_at timestamptz NOT NULL
);
CREATE INDEX version_reader_expiry ON version_reader (expires_at);

-- A version that a process has open, or is about to: written before its files are opened, and removed when they are closed.
CREATE TABLE version_lease (
  id      uuid PRIMARY KEY,
  reader  uuid NOT NULL REFERENCES version_reader ON DELETE CASCADE,
  model   text NOT NULL,
  version integer NOT NULL,
  FOREIGN KEY (model, version) REFERENCES model_version
);
CREATE INDEX version_lease_reader ON version_lease (reader);
CREATE INDEX version_lease_version ON version_lease (model, version);

-- When a page was last read from it that has a next one, to within half a minute.
ALTER TABLE model_version ADD COLUMN paged_at timestamptz;
