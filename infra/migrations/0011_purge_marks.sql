-- How far a purge came in tables whose order is not their age: each goes on behind the last row that it looked at, and begins anew at
-- the end. So it costs the same however many there are, and an index that every job would have to keep is not needed.
CREATE TABLE IF NOT EXISTS purge_marks (
  what   TEXT PRIMARY KEY,
  tenant INTEGER NOT NULL DEFAULT 0,
  at     TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
-- ;;
INSERT OR IGNORE INTO purge_marks (what) VALUES ('hosts'), ('endpoints');
