-- What keys, passwords and registration tokens are proved by. Apart from the rows, so that no reading of rows can show it,
-- and found by the public half with every request. `secret` is a digest, a slow hash or a seal, by the kind.
CREATE TABLE credential (
  resource_id BIGINT PRIMARY KEY NOT NULL,
  kind TEXT NOT NULL,
  public_value TEXT NOT NULL COLLATE NOCASE,
  secret TEXT NOT NULL
);
CREATE INDEX credential_public ON credential (public_value);
