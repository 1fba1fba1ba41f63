-- All keys of an account at once, so that none of them can be used while another one is deleted.
DELETE FROM api_keys WHERE account = ?1 RETURNING id
