-- One message of an account, with where its latest callback stands.
SELECT m.Id, m.user_Id, m.request_url, m.type, m.priority, m.state, m.attempt, m.added_ms, m.finished_ms,
       m.error_code, m.error_detail, m.error_permanent, m.callback_url,
       CASE WHEN m.callback_url IS NULL THEN 'none' WHEN m.finished_ms IS NULL THEN 'pending' ELSE COALESCE(
         (SELECT CASE WHEN c.state IN ('delivered', 'failed') THEN c.state
                      WHEN e.disabled_ms IS NOT NULL THEN 'disabled'
                      ELSE 'pending' END
            FROM callbacks c LEFT JOIN endpoints e ON e.tenant = c.tenant AND e.url = c.endpoint
           WHERE c.message_id = m.Id ORDER BY c.id DESC LIMIT 1), 'none') END,
       CASE WHEN m.stage = 2 THEN m.run_at END, m.crash_count
  FROM Messages m
 WHERE m.Id = ?1 AND m.tenant = ?2
