-- The current secret, and the one before it while it still signs (?2 ms after the rotation).
SELECT webhook_secret,
       CASE WHEN webhook_rotated_ms > CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?2 THEN webhook_secret_before END
  FROM accounts WHERE id = ?1
