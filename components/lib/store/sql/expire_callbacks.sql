-- Ends the leases of callbacks that are still running; rescue_callbacks.sql takes what they held.
UPDATE callbacks SET lease_until = CAST(unixepoch('subsec') * 1000 AS INTEGER) - 1
 WHERE state = 'processing' AND lease_until >= CAST(unixepoch('subsec') * 1000 AS INTEGER)
RETURNING id
