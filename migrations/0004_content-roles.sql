-- Up Migration
-- What a file of the content index is for:
--   PUBLISHED  what publishing or archiving put there; of a snapshot's form, what readers open
--   CLEAN      a version as one file, made for those who fetch it
--   COMING     on its way to the object store: written down before its first byte is there
--   STORED     in the object store, for as long as its version is pinned
--   GOING      being removed from there
ALTER TABLE content_index ADD COLUMN role text NOT NULL DEFAULT 'PUBLISHED'
  CHECK (role IN ('PUBLISHED', 'CLEAN', 'COMING', 'STORED', 'GOING'));
CREATE INDEX content_index_stored ON content_index (model, version) WHERE role IN ('COMING', 'STORED', 'GOING');
