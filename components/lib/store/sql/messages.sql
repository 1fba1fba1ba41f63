-- Messages of an account, newest first: one short index range per branch, so that neither a long queue nor a long history
-- is walked. A branch whose filter does not apply is not entered. ?2 state, ?3 type, ?4 limit, ?5 before this id.
SELECT m.Id, m.user_Id, m.request_url, m.type, m.priority, m.state, m.attempt, m.added_ms, m.finished_ms,
       m.error_code, m.error_detail, m.error_permanent, m.callback_url,
       CASE WHEN m.callback_url IS NULL THEN 'none' WHEN m.finished_ms IS NULL THEN 'pending' ELSE COALESCE(
         (SELECT CASE WHEN c.state IN ('delivered', 'failed') THEN c.state
                      WHEN e.disabled_ms IS NOT NULL THEN 'disabled'
                      ELSE 'pending' END
            FROM callbacks c LEFT JOIN endpoints e ON e.tenant = c.tenant AND e.url = c.endpoint
           WHERE c.message_id = m.Id ORDER BY c.id DESC LIMIT 1), 'none') END,
       CASE WHEN m.stage = 2 THEN m.run_at END, m.crash_count
  FROM (
    SELECT Id FROM (
      SELECT Id FROM (SELECT Id FROM Messages WHERE finished_ms IS NULL AND tenant = ?1 AND type = 1 AND Id < ?5
                         AND COALESCE(?2, 'queued') = 'queued' AND COALESCE(?3, 1) = 1 AND (?2 IS NULL OR state = ?2)
                       ORDER BY Id DESC LIMIT (0 + ?4))
      UNION ALL
      SELECT Id FROM (SELECT Id FROM Messages WHERE finished_ms IS NULL AND tenant = ?1 AND type = 2 AND Id < ?5
                         AND COALESCE(?2, 'queued') = 'queued' AND COALESCE(?3, 2) = 2 AND (?2 IS NULL OR state = ?2)
                       ORDER BY Id DESC LIMIT (0 + ?4))
      UNION ALL
      SELECT Id FROM (SELECT Id FROM Messages WHERE finished_ms IS NULL AND tenant = ?1 AND type = 3 AND Id < ?5
                         AND COALESCE(?2, 'queued') = 'queued' AND COALESCE(?3, 3) = 3 AND (?2 IS NULL OR state = ?2)
                       ORDER BY Id DESC LIMIT (0 + ?4))
      UNION ALL
      -- What is being worked on is few, whoever owns it.
      SELECT Id FROM (SELECT Id FROM Messages INDEXED BY messages_leased WHERE state = 'processing' AND tenant = ?1 AND Id < ?5
                         AND ?2 = 'processing' AND (?3 IS NULL OR type = ?3)
                       ORDER BY Id DESC LIMIT (0 + ?4))
      UNION ALL
      SELECT Id FROM (SELECT Id FROM Messages WHERE finished_ms IS NOT NULL AND tenant = ?1 AND state = 'done' AND type = 1 AND Id < ?5
                         AND COALESCE(?2, 'done') = 'done' AND COALESCE(?3, 1) = 1
                       ORDER BY Id DESC LIMIT (0 + ?4))
      UNION ALL
      SELECT Id FROM (SELECT Id FROM Messages WHERE finished_ms IS NOT NULL AND tenant = ?1 AND state = 'done' AND type = 2 AND Id < ?5
                         AND COALESCE(?2, 'done') = 'done' AND COALESCE(?3, 2) = 2
                       ORDER BY Id DESC LIMIT (0 + ?4))
      UNION ALL
      SELECT Id FROM (SELECT Id FROM Messages WHERE finished_ms IS NOT NULL AND tenant = ?1 AND state = 'done' AND type = 3 AND Id < ?5
                         AND COALESCE(?2, 'done') = 'done' AND COALESCE(?3, 3) = 3
                       ORDER BY Id DESC LIMIT (0 + ?4))
      UNION ALL
      SELECT Id FROM (SELECT Id FROM Messages WHERE finished_ms IS NOT NULL AND tenant = ?1 AND state = 'failed' AND type = 1 AND Id < ?5
                         AND COALESCE(?2, 'failed') = 'failed' AND COALESCE(?3, 1) = 1
                       ORDER BY Id DESC LIMIT (0 + ?4))
      UNION ALL
      SELECT Id FROM (SELECT Id FROM Messages WHERE finished_ms IS NOT NULL AND tenant = ?1 AND state = 'failed' AND type = 2 AND Id < ?5
                         AND COALESCE(?2, 'failed') = 'failed' AND COALESCE(?3, 2) = 2
                       ORDER BY Id DESC LIMIT (0 + ?4))
      UNION ALL
      SELECT Id FROM (SELECT Id FROM Messages WHERE finished_ms IS NOT NULL AND tenant = ?1 AND state = 'failed' AND type = 3 AND Id < ?5
                         AND COALESCE(?2, 'failed') = 'failed' AND COALESCE(?3, 3) = 3
                       ORDER BY Id DESC LIMIT (0 + ?4))
      UNION ALL
      SELECT Id FROM (SELECT Id FROM Messages WHERE finished_ms IS NOT NULL AND tenant = ?1 AND state = 'cancelled' AND type = 1 AND Id < ?5
                         AND COALESCE(?2, 'cancelled') = 'cancelled' AND COALESCE(?3, 1) = 1
                       ORDER BY Id DESC LIMIT (0 + ?4))
      UNION ALL
      SELECT Id FROM (SELECT Id FROM Messages WHERE finished_ms IS NOT NULL AND tenant = ?1 AND state = 'cancelled' AND type = 2 AND Id < ?5
                         AND COALESCE(?2, 'cancelled') = 'cancelled' AND COALESCE(?3, 2) = 2
                       ORDER BY Id DESC LIMIT (0 + ?4))
      UNION ALL
      SELECT Id FROM (SELECT Id FROM Messages WHERE finished_ms IS NOT NULL AND tenant = ?1 AND state = 'cancelled' AND type = 3 AND Id < ?5
                         AND COALESCE(?2, 'cancelled') = 'cancelled' AND COALESCE(?3, 3) = 3
                       ORDER BY Id DESC LIMIT (0 + ?4)))
     ORDER BY Id DESC LIMIT (0 + ?4)) ids
  JOIN Messages m ON m.Id = ids.Id
 ORDER BY m.Id DESC
