-- finish_16.sql for one job.
INSERT INTO results (message_id, tenant, type, url_hash, lease, stored_ms, http_status, final_url, content_type, encoding,
                     etag, last_modified, meta, body)
SELECT Id, tenant, type, CASE WHEN ?11 THEN 0 ELSE url_hash END, lease, CAST(unixepoch('subsec') * 1000 AS INTEGER), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10
  FROM Messages
 WHERE Id = ?1 AND lease = ?2 AND state = 'processing'
ON CONFLICT (message_id) DO NOTHING
RETURNING message_id
