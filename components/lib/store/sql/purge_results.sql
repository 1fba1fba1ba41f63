-- Results past their age. ?3 are looked at, behind those that the purges before left, so a purge with nothing to do costs the same on any
-- database. Those go whose predecessors have fewer than ?4 bytes together: to free a body its pages are read, one by one, and nobody
-- else can write meanwhile. How long a body is stands in the row's beginning.
DELETE FROM results
 WHERE message_id IN (SELECT message_id
                        FROM (SELECT message_id, SUM(bytes) OVER (ORDER BY message_id) - bytes AS before
                                FROM (SELECT message_id, stored_ms, length(body) AS bytes FROM results
                                       WHERE message_id > COALESCE((SELECT CAST(at AS INTEGER) FROM purge_marks WHERE what = 'results'), 0)
                                       ORDER BY message_id LIMIT (0 + ?3))
                               WHERE stored_ms < CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?1)
                       WHERE before < ?4 LIMIT (0 + ?2))
RETURNING length(body)
