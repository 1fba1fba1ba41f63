-- Results past their age. ?3 are looked at, behind those that the purges before left, so a purge with nothing to do costs the same on any
-- database.
DELETE FROM results
 WHERE message_id IN (SELECT message_id
                        FROM (SELECT message_id, stored_ms FROM results
                               WHERE message_id > COALESCE((SELECT CAST(at AS INTEGER) FROM purge_marks WHERE what = 'results'), 0)
                               ORDER BY message_id LIMIT (0 + ?3))
                       WHERE stored_ms < CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?1 LIMIT (0 + ?2))
RETURNING 1
