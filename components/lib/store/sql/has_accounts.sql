-- Whether anybody has an account: the first one is then taken.
SELECT EXISTS (SELECT 1 FROM accounts)
