-- Who has logged in. A session is found by the digest of its token with every request; the token itself is kept nowhere.
CREATE TABLE session (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  digest TEXT NOT NULL UNIQUE,
  account_id BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL
);
CREATE INDEX session_account ON session (account_id);
CREATE INDEX session_expires ON session (expires_ms);
