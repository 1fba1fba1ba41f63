-- The operator's word, whatever the hash was: set_password_hash.sql would have to be asked again when a log-in renews an old one meanwhile.
-- That log-in compares with the old hash, so it can't bring the old password back.
UPDATE accounts SET password_hash = ?2 WHERE email_key = ?1 RETURNING id
