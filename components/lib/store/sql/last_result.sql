-- The newest result of the same tenant, type, URL and, of a text, options; the hash finds it, the columns prove it. Newest by its message: so the index
-- is read backwards and one body is read, however many results of a URL there are. By stored_ms all of them would be read and sorted.
-- No more than the ?7 newest of the hash are proved: those of other requests have it by chance, by craft, or from before it knew of options.
-- The age is rounded up: a copy that is a moment old is older than 0 s. ?8: with the body.
SELECT r.message_id, r.etag, r.last_modified, (CAST(unixepoch('subsec') * 1000 AS INTEGER) - r.stored_ms + 999) / 1000,
       r.http_status, r.final_url, r.content_type, r.encoding, r.meta,
       CASE WHEN ?8 THEN r.body END
  FROM results r JOIN Messages m ON m.Id = r.message_id
 WHERE r.url_hash = ?1
   AND r.message_id > COALESCE((SELECT message_id FROM results WHERE url_hash = ?1 ORDER BY message_id DESC LIMIT 1 OFFSET ?7), 0)
   AND r.tenant = ?2 AND r.type = ?3 AND m.request_url = ?4
   AND (r.type <> 1 OR (m.mode = ?5 AND m.selector IS ?6))
 ORDER BY r.message_id DESC LIMIT 1
