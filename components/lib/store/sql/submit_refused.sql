-- Why submit.sql recorded nothing: the message of the same idempotency key, or which limit is reached.
SELECT (SELECT Id FROM Messages WHERE tenant = ?1 AND idem_key = ?2),
       (SELECT body_digest = ?3 FROM Messages WHERE tenant = ?1 AND idem_key = ?2),
       (SELECT replica FROM Messages WHERE tenant = ?1 AND idem_key = ?2),
       (SELECT COALESCE(SUM(waiting + delayed + leased), 0) FROM flows WHERE tenant = ?1 AND kind <= 3) >= ?4
