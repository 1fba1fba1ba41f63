-- Ends the leases that are still running; rescue.sql takes what they held. For who knows that nobody is left who holds any.
UPDATE Messages SET lease_until = CAST(unixepoch('subsec') * 1000 AS INTEGER) - 1
 WHERE state = 'processing' AND lease_until >= CAST(unixepoch('subsec') * 1000 AS INTEGER)
RETURNING Id
