-- The account's messages from ?4 on, with their callbacks after ?5 for that first one, and whether each is of the time ?2 to ?3 and may
-- be sent again. At most ?6 rows, and each branch reads no more of its index: the last row says where to go on, the end has fewer.
-- By id over all branches, so that a message that is retried meanwhile is met once. There is no index by time: each job would pay.
SELECT message, callback,
       COALESCE(finished_ms >= ?2 AND finished_ms < ?3 AND (state IN ('delivered', 'failed') OR stage = 2), 0)
  FROM (
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NOT NULL AND m.tenant = ?1 AND m.state = 'done' AND m.type = 1 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NOT NULL AND m.tenant = ?1 AND m.state = 'done' AND m.type = 2 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NOT NULL AND m.tenant = ?1 AND m.state = 'done' AND m.type = 3 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NOT NULL AND m.tenant = ?1 AND m.state = 'failed' AND m.type = 1 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NOT NULL AND m.tenant = ?1 AND m.state = 'failed' AND m.type = 2 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NOT NULL AND m.tenant = ?1 AND m.state = 'failed' AND m.type = 3 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NOT NULL AND m.tenant = ?1 AND m.state = 'cancelled' AND m.type = 1 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NOT NULL AND m.tenant = ?1 AND m.state = 'cancelled' AND m.type = 2 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NOT NULL AND m.tenant = ?1 AND m.state = 'cancelled' AND m.type = 3 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NULL AND m.tenant = ?1 AND m.type = 1 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NULL AND m.tenant = ?1 AND m.type = 2 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NULL AND m.tenant = ?1 AND m.type = 3 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
  )
 ORDER BY message, callback LIMIT (0 + ?6)
