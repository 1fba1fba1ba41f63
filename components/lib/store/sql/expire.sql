-- Ends the leases that are still running: at 0, which tells rescue.sql that it was a whole host that died. For who knows that nobody is
-- left who holds any.
UPDATE Messages SET lease_until = 0
 WHERE state = 'processing' AND lease_until >= CAST(unixepoch('subsec') * 1000 AS INTEGER)
RETURNING Id
