-- One row that is written now and then, to find out whether the disk takes it (ready.sql).
CREATE TABLE IF NOT EXISTS last_write (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  ms  INTEGER NOT NULL
);
-- ;;
INSERT OR IGNORE INTO last_write (one, ms) VALUES (1, 0);
