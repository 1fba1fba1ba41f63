-- A page of all accounts, by their ids, for the operator. What is unfinished is told by the counters, a few rows an account, never by its
-- messages. Callbacks (kind 4) are not counted: their messages are finished.
SELECT a.id, a.email, a.created_ms,
       (SELECT COUNT(*) FROM api_keys WHERE account = a.id),
       (SELECT COALESCE(SUM(waiting + delayed + leased), 0) FROM flows WHERE tenant = a.id AND kind <= 3)
  FROM accounts a
 WHERE a.id > ?1
 ORDER BY a.id LIMIT (0 + ?2)
