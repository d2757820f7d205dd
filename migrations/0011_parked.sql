-- Up Migration
-- In which models an intent was PARKED a while ago, without a look through all that they have ever had.
CREATE INDEX intent_parked ON intent (model, ended_at) WHERE status = 'PARKED';
