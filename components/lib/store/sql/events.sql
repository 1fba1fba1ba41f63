-- The message's transitions, oldest first, after the insertion, which the message itself remembers; no row when the account has no
-- such message. Asking again and cancelling make more of them without end: of so many the newest, ?3.
SELECT 0 AS seq, added_ms AS at_ms, NULL AS from_state, 'queued' AS to_state, 0 AS lease, NULL AS worker, 'accepted' AS reason
  FROM Messages
 WHERE Id = ?1 AND tenant = ?2
UNION ALL
SELECT seq, at_ms, from_state, to_state, lease, worker, reason
  FROM (SELECT e.seq, e.at_ms, e.from_state, e.to_state, e.lease, e.worker, e.reason
          FROM Messages m JOIN events e ON e.message_id = m.Id
         WHERE m.Id = ?1 AND m.tenant = ?2
         ORDER BY e.seq DESC LIMIT (0 + ?3))
 ORDER BY seq
