UPDATE resource SET (old_state, old_health, old_message, old_progress, old_version) =
  (SELECT state, health, message, progress, version FROM resource_state WHERE resource_id = id);
ALTER TABLE resource RENAME COLUMN old_state TO state;
ALTER TABLE resource RENAME COLUMN old_health TO health;
ALTER TABLE resource RENAME COLUMN old_message TO message;
ALTER TABLE resource RENAME COLUMN old_progress TO progress;
ALTER TABLE resource RENAME COLUMN old_version TO version;
DROP TABLE resource_state;
