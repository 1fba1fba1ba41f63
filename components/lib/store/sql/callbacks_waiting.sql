-- Whether a callback can be claimed.
SELECT EXISTS (SELECT 1 FROM callbacks WHERE stage = 1)
