-- What the server died of while it worked on it, and how often in a row of starts.
CREATE TABLE set_aside (
  resource_id BIGINT PRIMARY KEY NOT NULL,
  deaths INTEGER NOT NULL
);
