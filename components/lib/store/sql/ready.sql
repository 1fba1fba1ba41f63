-- Takes the write lock and changes nothing: fails on a locked or read-only database, costs no flush.
UPDATE settings SET one = one WHERE one = 0
