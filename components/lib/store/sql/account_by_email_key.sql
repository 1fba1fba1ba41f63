SELECT id, email, password_hash FROM accounts WHERE email_key = ?1
