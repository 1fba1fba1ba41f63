-- Ends the leases of callbacks that are still running, as expire.sql does with those of messages.
UPDATE callbacks SET lease_until = 0
 WHERE state = 'processing' AND lease_until >= CAST(unixepoch('subsec') * 1000 AS INTEGER)
RETURNING id
