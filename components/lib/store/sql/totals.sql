-- What was done and what failed in each queue since the schema has counters of it.
SELECT kind, done_total, failed_total FROM queues ORDER BY kind
