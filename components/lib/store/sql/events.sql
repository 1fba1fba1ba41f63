-- The message's transitions, oldest first; a row of nulls when it has none, no row when the account has no such message.
SELECT e.at_ms, e.from_state, e.to_state, e.lease, e.worker, e.reason
  FROM Messages m LEFT JOIN events e ON e.message_id = m.Id
 WHERE m.Id = ?1 AND m.tenant = ?2
 ORDER BY e.seq
