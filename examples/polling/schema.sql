-- Money is whole cents. SQLite and PostgreSQL read the same text.

CREATE TABLE IF NOT EXISTS payments (
    id              TEXT PRIMARY KEY,
    idempotency_key TEXT NOT NULL UNIQUE,
    cents           BIGINT NOT NULL,
    state           TEXT NOT NULL,
    provider_ref    TEXT NOT NULL DEFAULT '',
    message_id      TEXT NOT NULL DEFAULT '',
    requested_at_ms BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS payments_by_message ON payments (message_id);

-- The evidence: nothing is unique, so that a change that was made twice is there twice.

CREATE TABLE IF NOT EXISTS steps (
    payment_id TEXT NOT NULL,
    ordinal    INTEGER NOT NULL,
    state      TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS steps_by_payment ON steps (payment_id);
