-- Idempotent transfers between accounts, as one would make them by hand in PostgreSQL. A transfer is applied once for a key,
-- and no account goes below zero.
CREATE TABLE account (id integer PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0)) WITH (fillfactor = 50);
CREATE TABLE transfer (key uuid PRIMARY KEY, debit integer NOT NULL, credit integer NOT NULL, amount bigint NOT NULL,
                       applied boolean NOT NULL);
INSERT INTO account SELECT id, 1000000 FROM generate_series(1, 10000) id;

-- One transfer: applied, rejected for want of funds, or a duplicate with the first answer. Accounts are locked in one order, so
-- that no two transfers wait for each other.
CREATE FUNCTION transfer_one(k uuid, a integer, b integer, n bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    funds bigint;
    done boolean;
BEGIN
    INSERT INTO transfer VALUES (k, a, b, n, true) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        SELECT applied INTO done FROM transfer WHERE key = k;
        RETURN CASE WHEN done THEN 'duplicate: applied' ELSE 'duplicate: rejected' END;
    END IF;
    PERFORM FROM account WHERE id IN (a, b) ORDER BY id FOR UPDATE;
    SELECT balance INTO funds FROM account WHERE id = a;
    IF funds < n THEN
        UPDATE transfer SET applied = false WHERE key = k;
        RETURN 'rejected';
    END IF;
    UPDATE account SET balance = balance - n WHERE id = a;
    UPDATE account SET balance = balance + n WHERE id = b;
    RETURN 'applied';
END $$;

-- A batch, made in the server and applied by sets, which is the fastest way: whether an account had funds in between is not
-- looked at, and nothing is sent by a client. Both favour PostgreSQL. Batches take turns, since each touches most accounts.
CREATE FUNCTION transfer_batch(count integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    done bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(1);
    WITH drawn AS MATERIALIZED (
        SELECT gen_random_uuid() AS key, 1 + floor(random() * 10000)::integer AS debit,
               1 + floor(random() * 10000)::integer AS credit, 1::bigint AS amount
        FROM generate_series(1, count)
    ), taken AS (
        INSERT INTO transfer SELECT key, debit, credit, amount, true FROM drawn ON CONFLICT DO NOTHING RETURNING *
    ), change AS (
        SELECT id, sum(by) AS by
        FROM (SELECT debit AS id, -amount AS by FROM taken UNION ALL SELECT credit, amount FROM taken) both_sides
        GROUP BY id
    ), moved AS (
        UPDATE account SET balance = balance + change.by FROM change WHERE account.id = change.id
    )
    SELECT count(*) INTO done FROM taken;
    RETURN done;
END $$;
