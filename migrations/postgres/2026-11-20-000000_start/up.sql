-- Every resource of every type is a row here; what decides a query is a column, the rest is JSON text in `fields`.
CREATE TABLE resource (
  id BIGINT PRIMARY KEY NOT NULL,
  root TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  account_id BIGINT,
  parent_id BIGINT,
  host_id BIGINT,
  uuid TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  health TEXT COLLATE "C" NOT NULL,
  message TEXT COLLATE "C" NOT NULL,
  progress INTEGER,
  version BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,
  removed_ms BIGINT,
  purge_after_ms BIGINT,
  fields TEXT COLLATE "C" NOT NULL,
  cuts TEXT COLLATE "C" NOT NULL,
  internal TEXT COLLATE "C" NOT NULL
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
  field TEXT COLLATE "C" NOT NULL,
  to_id BIGINT NOT NULL,
  PRIMARY KEY (from_id, field, to_id)
);
CREATE INDEX resource_ref_back ON resource_ref (to_id, field, from_id);

-- Durable intent: what is to be done to a resource. Asking twice is asking once.
CREATE TABLE process_instance (
  id BIGINT PRIMARY KEY NOT NULL,
  resource_id BIGINT NOT NULL,
  process TEXT COLLATE "C" NOT NULL,
  attempts INTEGER NOT NULL,
  run_after_ms BIGINT NOT NULL,
  claimed_by TEXT COLLATE "C" NOT NULL,
  epoch BIGINT NOT NULL,
  data TEXT COLLATE "C" NOT NULL,
  message TEXT COLLATE "C" NOT NULL,
  started_ms BIGINT NOT NULL,
  ended_ms BIGINT,
  exit_reason TEXT COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX process_open ON process_instance (resource_id, process) WHERE ended_ms IS NULL;
CREATE INDEX process_ended ON process_instance (ended_ms) WHERE ended_ms IS NOT NULL;

-- The outbox: which resource changed, in commit order.
CREATE TABLE change_event (
  id BIGINT PRIMARY KEY NOT NULL,
  resource_id BIGINT NOT NULL,
  account_id BIGINT,
  created_ms BIGINT NOT NULL
);

CREATE TABLE setting (
  name TEXT COLLATE "C" PRIMARY KEY NOT NULL,
  value TEXT COLLATE "C" NOT NULL
);

-- One row: who owns this database, and how often it was started.
CREATE TABLE server (
  uuid TEXT COLLATE "C" PRIMARY KEY NOT NULL,
  epoch BIGINT NOT NULL
);

-- The last number that each of these tables gave to a row, written with the commit that gave it: no sequence of the database, as
-- those count what was taken back, too. 1 to 999 are for seeds (admin 1a1, the Default project 1a5).
CREATE TABLE number_given (
  name TEXT COLLATE "C" PRIMARY KEY NOT NULL,
  last BIGINT NOT NULL
);
INSERT INTO number_given (name, last) VALUES ('resource', 999), ('process_instance', 0), ('change_event', 0);

-- One row: the last commit of the writer. What became of one that got no answer is looked up here.
CREATE TABLE last_commit (
  id BIGINT NOT NULL
);
INSERT INTO last_commit (id) VALUES (0);
