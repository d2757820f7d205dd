-- Up Migration
-- Whether an intent of a model was PARKED in the last minutes, without a look through all that it has ever had.
CREATE INDEX intent_parked ON intent (model, ended_at) WHERE status = 'PARKED';
