-- Records results. Only rows that match the lease are inserted; the insert's trigger makes the message done, whose triggers
-- write event, outbox row and counters: one statement for all of it, and for several jobs.
-- A copy of an earlier result gets no hash: last_result.sql must not find it, or a page handed on from job to job would never age.
-- ?1 is [{"i":id,"l":lease,…,"o":offset,"n":length}, …]; the bodies stand end to end in ?2, since JSON cannot hold bytes.
INSERT INTO results (message_id, tenant, type, url_hash, lease, stored_ms, http_status, final_url, content_type, encoding,
                     etag, last_modified, meta, body)
SELECT m.Id, m.tenant, m.type, CASE WHEN json_extract(j.value, '$.r') THEN 0 ELSE m.url_hash END, m.lease, CAST(unixepoch('subsec') * 1000 AS INTEGER),
       json_extract(j.value, '$.s'), json_extract(j.value, '$.u'), json_extract(j.value, '$.c'), json_extract(j.value, '$.e'),
       json_extract(j.value, '$.t'), json_extract(j.value, '$.m'), json_extract(j.value, '$.j'),
       substr(?2, json_extract(j.value, '$.o') + 1, json_extract(j.value, '$.n'))
  FROM json_each(?1) j
  JOIN Messages m ON m.Id = json_extract(j.value, '$.i')
 WHERE m.lease = json_extract(j.value, '$.l') AND m.state = 'processing'
ON CONFLICT (message_id) DO NOTHING
RETURNING message_id
