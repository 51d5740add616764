-- Every resource of every type is a row here; what decides a query is a column, the rest is JSON text in `fields`.
CREATE TABLE resource (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  root TEXT NOT NULL,
  kind TEXT NOT NULL,
  account_id BIGINT,
  parent_id BIGINT,
  host_id BIGINT,
  uuid TEXT NOT NULL,
  name TEXT NOT NULL,
  state TEXT NOT NULL,
  health TEXT NOT NULL,
  message TEXT NOT NULL,
  progress INTEGER,
  version BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,
  removed_ms BIGINT,
  purge_after_ms BIGINT,
  fields TEXT NOT NULL,
  cuts TEXT NOT NULL,
  internal TEXT NOT NULL
);
CREATE UNIQUE INDEX resource_uuid ON resource (uuid);
-- Lists: by account, and (for those who see every account) without. Sort keys other than id are NOT NULL columns.
CREATE INDEX resource_list ON resource (root, account_id, id) WHERE removed_ms IS NULL;
CREATE INDEX resource_list_all ON resource (root, id) WHERE removed_ms IS NULL;
CREATE INDEX resource_name ON resource (root, account_id, name, id) WHERE removed_ms IS NULL;
CREATE INDEX resource_parent ON resource (parent_id, root) WHERE parent_id IS NOT NULL AND removed_ms IS NULL;
CREATE INDEX resource_host ON resource (host_id, root) WHERE host_id IS NOT NULL AND removed_ms IS NULL;
CREATE INDEX resource_purge ON resource (purge_after_ms) WHERE purge_after_ms IS NOT NULL;

-- References between resources that are not columns, both directions indexed.
CREATE TABLE resource_ref (
  from_id BIGINT NOT NULL,
  field TEXT NOT NULL,
  to_id BIGINT NOT NULL,
  PRIMARY KEY (from_id, field, to_id)
) WITHOUT ROWID;
CREATE INDEX resource_ref_back ON resource_ref (to_id, field, from_id);

-- Durable intent: what is to be done to a resource. Asking twice is asking once.
CREATE TABLE process_instance (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  resource_id BIGINT NOT NULL,
  process TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  run_after_ms BIGINT NOT NULL,
  claimed_by TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  data TEXT NOT NULL,
  message TEXT NOT NULL,
  started_ms BIGINT NOT NULL,
  ended_ms BIGINT,
  exit_reason TEXT NOT NULL
);
CREATE UNIQUE INDEX process_open ON process_instance (resource_id, process) WHERE ended_ms IS NULL;
CREATE INDEX process_ended ON process_instance (ended_ms) WHERE ended_ms IS NOT NULL;

-- The outbox: which resource changed, in commit order.
CREATE TABLE change_event (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  resource_id BIGINT NOT NULL,
  account_id BIGINT,
  created_ms BIGINT NOT NULL
);

CREATE TABLE setting (
  name TEXT PRIMARY KEY NOT NULL,
  value TEXT NOT NULL
);

-- One row: who owns this database, and how often it was started.
CREATE TABLE server (
  uuid TEXT PRIMARY KEY NOT NULL,
  epoch BIGINT NOT NULL
);

-- 1 to 999 are for seeds (admin 1a1, the Default project 1a5).
INSERT INTO sqlite_sequence (name, seq) VALUES ('resource', 999);
