-- Before the first migration, which has no place to say who is at it.
CREATE TABLE IF NOT EXISTS migration_lock (
  one      INTEGER PRIMARY KEY CHECK (one = 1),
  holder   TEXT NOT NULL,
  until_ms INTEGER NOT NULL
)
