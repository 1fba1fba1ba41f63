-- The account's messages from ?4 on, with their callbacks after ?5 for that first one, and which statement sends each again: 1 is
-- replay_many.sql, 2 is replay_many_under_way.sql, 0 none: it is not of the time ?2 to ?3, or at the beginning of its schedule.
-- At most ?6 rows, and each branch reads no more of its index: the last row says where to go on, the end has fewer.
-- By id over all branches, so that a message that is retried meanwhile is met once. There is no index by time: each job would pay.
SELECT message, callback,
       CASE WHEN finished_ms >= ?2 AND finished_ms < ?3
            THEN CASE WHEN state IN ('delivered', 'failed') OR stage = 2 THEN 1 WHEN attempt > 0 THEN 2 ELSE 0 END ELSE 0 END
  FROM (
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage, c.attempt
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NOT NULL AND m.tenant = ?1 AND m.state = 'done' AND m.type = 1 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage, c.attempt
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NOT NULL AND m.tenant = ?1 AND m.state = 'done' AND m.type = 2 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage, c.attempt
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NOT NULL AND m.tenant = ?1 AND m.state = 'done' AND m.type = 3 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage, c.attempt
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NOT NULL AND m.tenant = ?1 AND m.state = 'failed' AND m.type = 1 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage, c.attempt
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NOT NULL AND m.tenant = ?1 AND m.state = 'failed' AND m.type = 2 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage, c.attempt
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NOT NULL AND m.tenant = ?1 AND m.state = 'failed' AND m.type = 3 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage, c.attempt
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NOT NULL AND m.tenant = ?1 AND m.state = 'cancelled' AND m.type = 1 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage, c.attempt
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NOT NULL AND m.tenant = ?1 AND m.state = 'cancelled' AND m.type = 2 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage, c.attempt
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NOT NULL AND m.tenant = ?1 AND m.state = 'cancelled' AND m.type = 3 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage, c.attempt
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NULL AND m.tenant = ?1 AND m.type = 1 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage, c.attempt
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NULL AND m.tenant = ?1 AND m.type = 2 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
    UNION ALL
    SELECT * FROM (SELECT m.Id AS message, c.id AS callback, c.finished_ms, c.state, c.stage, c.attempt
                     FROM Messages m LEFT JOIN callbacks c ON c.message_id = m.Id AND c.id > CASE m.Id WHEN ?4 THEN ?5 ELSE 0 END
                    WHERE m.finished_ms IS NULL AND m.tenant = ?1 AND m.type = 3 AND m.Id >= ?4
                    ORDER BY m.Id, c.id LIMIT (0 + ?6))
  )
 ORDER BY message, callback LIMIT (0 + ?6)
