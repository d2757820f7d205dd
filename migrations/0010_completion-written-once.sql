-- Up Migration
-- An entry of a log is written by the transaction that ends its intent or run, under the lock of the model's row; and neither
-- models nor intents nor runs are ever deleted. To look each of them up again, and lock it, took a tenth of what a batch costs.
-- That each ends once is what the database is asked to see to.

ALTER TABLE completion
  DROP CONSTRAINT completion_model_fkey,
  DROP CONSTRAINT completion_intent_fkey,
  DROP CONSTRAINT completion_query_run_fkey;

DROP INDEX completion_intent, completion_query_run;
CREATE UNIQUE INDEX completion_intent ON completion (intent);
CREATE UNIQUE INDEX completion_query_run ON completion (query_run) WHERE query_run IS NOT NULL;
