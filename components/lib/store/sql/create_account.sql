-- ?4 says who may: open, first (only while there is no account) or closed. A taken address gives no row either.
INSERT INTO accounts (email, email_key, password_hash, created_ms)
SELECT ?1, ?2, ?3, CAST(unixepoch('subsec') * 1000 AS INTEGER)
 WHERE ?4 = 'open' OR (?4 = 'first' AND NOT EXISTS (SELECT 1 FROM accounts))
ON CONFLICT (email_key) DO NOTHING
RETURNING id
