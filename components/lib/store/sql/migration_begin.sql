-- Whoever gets a row back migrates. A lock is taken over when its time is over, or lies further ahead than one is ever given: then the
-- clock was set back.
INSERT INTO migration_lock (one, holder, until_ms)
VALUES (1, lower(hex(randomblob(16))), CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?1)
ON CONFLICT (one) DO UPDATE SET holder = excluded.holder, until_ms = excluded.until_ms
 WHERE until_ms < CAST(unixepoch('subsec') * 1000 AS INTEGER) OR until_ms > excluded.until_ms
RETURNING holder
