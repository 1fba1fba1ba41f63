-- The message's callback attempts, oldest first; a row of nulls when there are none, no row when there is no such message.
SELECT d.webhook_id, d.attempt, d.at_ms, d.status, d.latency_ms, d.error, d.next_try_at
  FROM Messages m LEFT JOIN deliveries d ON d.message_id = m.Id
 WHERE m.Id = ?1 AND m.tenant = ?2
 ORDER BY d.seq
