-- Results past their age. Only the oldest ?3 are looked at, so a purge with nothing to do costs the same on any database.
DELETE FROM results
 WHERE message_id IN (SELECT message_id FROM (SELECT message_id, stored_ms FROM results ORDER BY message_id LIMIT (0 + ?3))
                       WHERE stored_ms < CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?1 LIMIT (0 + ?2))
RETURNING 1
