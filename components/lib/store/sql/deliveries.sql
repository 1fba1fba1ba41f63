-- The message's callback attempts, oldest first; a row of nulls when there are none, no row when there is no such message. Each replay
-- makes more of them, without end: of so many the newest, ?3.
SELECT d.webhook_id, d.attempt, d.at_ms, d.status, d.latency_ms, d.error, d.next_try_at
  FROM Messages m
  LEFT JOIN (SELECT message_id, seq, webhook_id, attempt, at_ms, status, latency_ms, error, next_try_at
               FROM deliveries
              WHERE message_id = ?1
              ORDER BY seq DESC LIMIT (0 + ?3)) d ON d.message_id = m.Id
 WHERE m.Id = ?1 AND m.tenant = ?2
 ORDER BY d.seq
