-- The audit log, apart from the resources: only ever appended to, and swept at its old end. Its numbers are from the
-- sequence of `resource`. Rows that are there are moved by the program, in portions.
CREATE TABLE audit (
  id INTEGER PRIMARY KEY NOT NULL,
  account_id BIGINT,
  created_ms BIGINT NOT NULL,
  auth_type TEXT NOT NULL,
  user_id TEXT NOT NULL,
  identity_id TEXT NOT NULL,
  client_ip TEXT NOT NULL,
  event_type TEXT NOT NULL,
  resource_type TEXT NOT NULL,
  resource_id TEXT,
  response_code INTEGER NOT NULL,
  runtime_ms BIGINT NOT NULL,
  packing BIGINT NOT NULL,
  bodies BLOB NOT NULL,
  more TEXT,
  removed_ms BIGINT,
  purge_after_ms BIGINT
);
-- With the number of the row, which every index ends with: lists of a project in order.
CREATE INDEX audit_account ON audit (account_id);
CREATE INDEX audit_purge ON audit (purge_after_ms) WHERE purge_after_ms IS NOT NULL;
-- What the bodies of rows are alike in.
CREATE TABLE audit_sample (
  id INTEGER PRIMARY KEY NOT NULL,
  content BLOB NOT NULL
);
