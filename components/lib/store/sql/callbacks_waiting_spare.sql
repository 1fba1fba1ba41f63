-- Whether claim_callbacks_spare.sql would find something: a read, so that it can be asked often.
SELECT EXISTS (SELECT 1 FROM (SELECT tenant FROM callbacks WHERE stage = 1 ORDER BY key LIMIT (0 + ?1)) ready
                WHERE (SELECT leased FROM flows f WHERE f.tenant = ready.tenant AND f.kind = 4 AND f.priority = 0) < ?2)
