-- Counts a try that may go on by what login_failures.sql told. ?4 and ?5 are the failures and the time of the last one then, NULL for none:
-- when another try was counted since, there is no row, and it has to be asked again. ?2 and ?3 as in registration_tried.sql.
INSERT INTO login_failures (key, failures, first_ms, last_ms)
SELECT ?1, 1, c.ms, c.ms FROM (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms) c WHERE true
ON CONFLICT (key) DO UPDATE SET
  failures = CASE WHEN first_ms <= excluded.first_ms - ?2 OR last_ms <= excluded.last_ms - ?3 THEN 1 ELSE failures + 1 END,
  first_ms = CASE WHEN first_ms <= excluded.first_ms - ?2 OR last_ms <= excluded.last_ms - ?3 THEN excluded.first_ms ELSE MIN(first_ms, excluded.first_ms) END,
  last_ms = excluded.last_ms
  WHERE failures = ?4 AND last_ms = ?5
RETURNING 1
