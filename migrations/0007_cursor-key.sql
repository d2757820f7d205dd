-- Up Migration
-- What the cursors of this platform are signed with (jobs/cursor-key.ts): one row, made here, which nobody is told.
-- Each of the two ids has 122 random bits, of the system's own source of them.

CREATE TABLE cursor_key (
  is_one boolean PRIMARY KEY DEFAULT true CHECK (is_one),
  key    bytea NOT NULL CHECK (octet_length(key) = 32)
);
INSERT INTO cursor_key (key)
  VALUES (decode(replace(concat(gen_random_uuid(), gen_random_uuid()), '-', ''), 'hex'));
