-- Whether the database can be written. The write lock is taken in any case, which fails on a locked or read-only one. A row is
-- changed, and with it flushed, at most once in ?1 milliseconds, however many ask: nothing else shows that the disk is full. One
-- that failed is tried again by whoever asks next.
UPDATE last_write SET ms = c.ms FROM (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms) c
 WHERE one = 1 AND last_write.ms NOT BETWEEN c.ms - ?1 AND c.ms
