-- Up Migration
-- What the object store holds of models.

-- Of a deleted model: ALL that there was; what one may have put LATE, who was at work as it was deleted; NOTHING.
ALTER TABLE goal_model ADD COLUMN in_store text NOT NULL DEFAULT 'ALL' CHECK (in_store IN ('ALL', 'LATE', 'NOTHING'));
CREATE INDEX goal_model_deleted ON goal_model (deleted_at) WHERE deleted_at IS NOT NULL AND in_store <> 'NOTHING';

-- Files of pinned versions have a name for each time they are put: they are put anew.
UPDATE content_index SET role = 'GOING' WHERE role IN ('COMING', 'STORED');
