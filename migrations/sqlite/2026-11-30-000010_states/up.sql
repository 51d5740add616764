-- What changes often, apart from what is long: a page holds a hundred of these, but two rows of `resource`.
CREATE TABLE resource_state (
  resource_id INTEGER PRIMARY KEY NOT NULL,
  state TEXT NOT NULL,
  health TEXT NOT NULL,
  message TEXT NOT NULL,
  progress INTEGER,
  version BIGINT NOT NULL
);
INSERT INTO resource_state (resource_id, state, health, message, progress, version)
  SELECT id, state, health, message, progress, version FROM resource WHERE root <> 'auditLog';
-- Taking the columns away would write every row anew. Nobody can take them for what is so by mistake.
ALTER TABLE resource RENAME COLUMN state TO old_state;
ALTER TABLE resource RENAME COLUMN health TO old_health;
ALTER TABLE resource RENAME COLUMN message TO old_message;
ALTER TABLE resource RENAME COLUMN progress TO old_progress;
ALTER TABLE resource RENAME COLUMN version TO old_version;
