-- Up Migration
-- Logs of what has ended are kept for a while (jobs/completion-pages.ts): the old entries are found by their age.

CREATE INDEX completion_age ON completion (at);
