-- deliver.sql for several callbacks that were delivered: ?1 is [[id, lease, status, latency in ms], …]. Two callbacks of one
-- message in it would get the same number, which is refused: the caller then records one by one.
INSERT INTO deliveries (message_id, seq, callback_id, lease, webhook_id, attempt, at_ms, status, latency_ms, error, outcome,
                        next_try_at, throttle_until)
SELECT c.message_id, (SELECT COALESCE(MAX(d.seq), 0) + 1 FROM deliveries d WHERE d.message_id = c.message_id),
       c.id, c.lease, c.webhook_id,
       CASE c.attempt WHEN 0 THEN 1 + COALESCE((SELECT d.attempt FROM deliveries d
                                               WHERE d.message_id = c.message_id AND d.callback_id = c.id
                                               ORDER BY d.seq DESC LIMIT 1), 0) ELSE c.attempt END,
       n.ms, json_extract(j.value, '$[2]'), json_extract(j.value, '$[3]'),
       NULL, 'delivered', NULL, NULL
  FROM json_each(?1) j, (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms) n
  JOIN callbacks c ON c.id = json_extract(j.value, '$[0]')
 WHERE c.lease = json_extract(j.value, '$[1]') AND c.state = 'processing'
RETURNING callback_id
