-- Whether the account, or the whole queue, has as many unfinished messages as allowed.
SELECT (SELECT COALESCE(SUM(waiting + delayed + leased), 0) FROM flows WHERE tenant = ?1 AND kind <= 3) >= ?2,
       (SELECT SUM(waiting + delayed + leased) FROM queues WHERE kind <= 3) >= ?3
