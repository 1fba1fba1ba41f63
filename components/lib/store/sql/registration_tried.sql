-- Counts a registration, and tells what login_failures.sql would then. The count starts again when the first is older
-- than ?2 (a window) or the last older than ?3 (forgiven).
INSERT INTO login_failures (key, failures, first_ms, last_ms)
SELECT ?1, 1, c.ms, c.ms FROM (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms) c WHERE true
ON CONFLICT (key) DO UPDATE SET
  failures = CASE WHEN first_ms <= excluded.first_ms - ?2 OR last_ms <= excluded.last_ms - ?3 THEN 1 ELSE failures + 1 END,
  first_ms = CASE WHEN first_ms <= excluded.first_ms - ?2 OR last_ms <= excluded.last_ms - ?3 THEN excluded.first_ms ELSE MIN(first_ms, excluded.first_ms) END,
  last_ms = excluded.last_ms
RETURNING failures, first_ms, last_ms, last_ms
