-- Ends leases, of everybody or of the worker ?2 alone: at ?1, where 0 tells rescue.sql that it was a whole host that died. For who
-- knows that nobody is left who holds any of them. Where one worker died, a message that had ?3 crashes before keeps its lease: the
-- next attempt is its last, and what kills one worker after the other for some seconds, such as a shortage of memory, is to be over by
-- then. A host may have been dead for longer than its leases.
UPDATE Messages SET lease_until = ?1
 WHERE state = 'processing' AND lease_until > 1
   AND (?2 IS NULL
        OR (worker = ?2 AND crash_count <> ?3 AND lease_until >= CAST(unixepoch('subsec') * 1000 AS INTEGER)))
RETURNING Id
