-- Ends the leases of callbacks, as expire.sql does with those of messages.
UPDATE callbacks SET lease_until = 0
 WHERE state = 'processing' AND lease_until > 0
RETURNING id
