-- What keys, passwords and registration tokens are proved by. Apart from the rows, so that no reading of rows can show it,
-- and found by the public half with every request. `secret` is a digest, a slow hash or a seal, by the kind.
CREATE TABLE credential (
  resource_id BIGINT PRIMARY KEY NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  public_value TEXT COLLATE "C" NOT NULL,
  secret TEXT COLLATE "C" NOT NULL
);
CREATE INDEX credential_public ON credential (lower(public_value));
