-- A message's state and, when it is done and not purged, its result.
SELECT m.state, m.error_code, m.error_detail, m.error_permanent, m.type,
       r.final_url, r.http_status, r.content_type, r.encoding, r.meta, r.body
  FROM Messages m LEFT JOIN results r ON r.message_id = m.Id
 WHERE m.Id = ?1 AND m.tenant = ?2
