-- Which flows wait for nothing but retries, as flows_waiting tells of the others: the oldest waiting row is looked for in these two
-- (queues.sql), and not in every flow that there ever was. Touched by what is delayed, and not by a job that ends at once.
CREATE INDEX IF NOT EXISTS flows_delayed ON flows(kind, tenant) WHERE delayed > 0;
