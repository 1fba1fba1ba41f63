-- finish_16.sql for up to four jobs.
WITH done (id, lease, status, url, content_type, encoding, etag, last_modified, meta, body, is_copy) AS (VALUES
  (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?),
  (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?),
  (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?),
  (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?))
INSERT INTO results (message_id, tenant, type, url_hash, lease, stored_ms, http_status, final_url, content_type, encoding,
                     etag, last_modified, meta, body)
SELECT m.Id, m.tenant, m.type, CASE WHEN d.is_copy THEN 0 ELSE m.url_hash END, m.lease,
       CAST(unixepoch('subsec') * 1000 AS INTEGER), d.status, d.url, d.content_type, d.encoding, d.etag, d.last_modified,
       d.meta, d.body
  FROM done d CROSS JOIN Messages m ON m.Id = d.id
 WHERE m.lease = d.lease AND m.state = 'processing'
ON CONFLICT (message_id) DO NOTHING
RETURNING message_id
