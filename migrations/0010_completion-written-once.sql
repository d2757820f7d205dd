-- Up Migration
-- An entry of a log is written by the transaction that ends its intent or run, under the lock of the model's row; and neither
-- models nor intents nor runs are ever deleted. To look each of them up again, and lock it, took a tenth of what a batch costs.

ALTER TABLE completion
  DROP CONSTRAINT completion_model_fkey,
  DROP CONSTRAINT completion_intent_fkey,
  DROP CONSTRAINT completion_query_run_fkey;
