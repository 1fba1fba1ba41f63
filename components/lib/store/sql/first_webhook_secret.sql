-- Only when there is none: of two that ask at once, one wins, and both then read the winner's.
UPDATE accounts SET webhook_secret = ?2 WHERE id = ?1 AND webhook_secret IS NULL
