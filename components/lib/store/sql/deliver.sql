-- Records an attempt. Only under the current lease; the insert's trigger moves the callback and its endpoint.
-- One whose callback was asked for again meanwhile (replay_under_way.sql) has the number after the last one's, and is not the last: the
-- first of the new schedule is due at once, or when the endpoint may be called again.
INSERT INTO deliveries (message_id, seq, callback_id, lease, webhook_id, attempt, at_ms, status, latency_ms, error, outcome,
                        next_try_at, throttle_until)
SELECT c.message_id, (SELECT COALESCE(MAX(d.seq), 0) + 1 FROM deliveries d WHERE d.message_id = c.message_id),
       c.id, c.lease, c.webhook_id,
       CASE c.attempt WHEN 0 THEN 1 + COALESCE((SELECT d.attempt FROM deliveries d
                                               WHERE d.message_id = c.message_id AND d.callback_id = c.id
                                               ORDER BY d.seq DESC LIMIT 1), 0) ELSE c.attempt END,
       n.ms, ?3, ?4, ?5, CASE WHEN c.attempt = 0 AND ?6 = 'exhausted' THEN 'retry' ELSE ?6 END,
       n.ms + CASE WHEN c.attempt = 0 AND ?6 IN ('retry', 'exhausted') THEN COALESCE(?8, 0) ELSE ?7 END, n.ms + ?8
  FROM callbacks c, (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms) n
 WHERE c.id = ?1 AND c.lease = ?2 AND c.state = 'processing'
RETURNING callback_id
