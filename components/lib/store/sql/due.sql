-- What the clock has to do. A read, so that an idle tick costs no write.
SELECT EXISTS (SELECT 1 FROM Messages WHERE stage = 2 AND run_at <= clock.ms),
       EXISTS (SELECT 1 FROM Messages INDEXED BY messages_paced WHERE stage = 3 AND type = 1 AND run_at <= clock.ms)
         OR EXISTS (SELECT 1 FROM Messages INDEXED BY messages_paced WHERE stage = 3 AND type = 2 AND run_at <= clock.ms)
         OR EXISTS (SELECT 1 FROM Messages INDEXED BY messages_paced WHERE stage = 3 AND type = 3 AND run_at <= clock.ms),
       EXISTS (SELECT 1 FROM callbacks WHERE stage = 2 AND run_at <= clock.ms),
       EXISTS (SELECT 1 FROM endpoints WHERE throttled_until IS NOT NULL AND throttled_until <= clock.ms),
       EXISTS (SELECT 1 FROM Messages WHERE state = 'processing' AND lease_until < clock.ms),
       EXISTS (SELECT 1 FROM callbacks WHERE state = 'processing' AND lease_until < clock.ms)
  FROM (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS ms) clock
