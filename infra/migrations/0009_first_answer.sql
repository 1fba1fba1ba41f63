-- Which replica answered first, of a message with an idempotency key: its repeats are answered with the same words.
ALTER TABLE Messages ADD COLUMN replica TEXT;
