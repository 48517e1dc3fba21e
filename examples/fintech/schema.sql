-- Money is whole cents, days are ISO text, rows are line numbers of the file. SQLite and PostgreSQL read the same text.

CREATE TABLE IF NOT EXISTS pages (
    number       INTEGER PRIMARY KEY,
    path         TEXT NOT NULL,
    first_line   INTEGER NOT NULL,
    offset_bytes BIGINT NOT NULL,
    lines        INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS raw_rows (
    id         INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL,
    line       TEXT NOT NULL,
    refused    INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS raw_rows_by_account ON raw_rows (account_id);

CREATE TABLE IF NOT EXISTS postings (
    account_id INTEGER PRIMARY KEY,
    reconciled INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS accounts (
    id            INTEGER PRIMARY KEY,
    entries       BIGINT NOT NULL,
    balance_cents BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS shown_balances (
    account_id INTEGER PRIMARY KEY,
    entries    BIGINT NOT NULL,
    cents      BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS merchants (
    id TEXT PRIMARY KEY
);

CREATE TABLE IF NOT EXISTS transactions (
    id          INTEGER PRIMARY KEY,
    reference   TEXT NOT NULL,
    account_id  INTEGER NOT NULL,
    day         TEXT NOT NULL,
    cents       BIGINT NOT NULL,
    category    TEXT NOT NULL,
    merchant_id TEXT REFERENCES merchants (id)
);
CREATE INDEX IF NOT EXISTS transactions_by_account_and_day ON transactions (account_id, day);

CREATE TABLE IF NOT EXISTS alerts (
    id             TEXT PRIMARY KEY,
    transaction_id INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS alerts_by_transaction ON alerts (transaction_id);

CREATE TABLE IF NOT EXISTS notifications (
    id         TEXT PRIMARY KEY,
    account_id INTEGER NOT NULL,
    sent       INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS transfers (
    id      INTEGER PRIMARY KEY,
    settled INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS reported (
    account_id INTEGER PRIMARY KEY,
    entries    BIGINT NOT NULL
);

-- The evidence: nothing is unique below, so that whatever is done twice is there twice. An ordinal is read before the
-- transaction of its booking: two bookings of one account that overlap have the same.

CREATE TABLE IF NOT EXISTS ledger (
    transaction_id INTEGER NOT NULL,
    account_id     INTEGER NOT NULL,
    cents          BIGINT NOT NULL,
    ordinal        BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS ledger_by_account ON ledger (account_id);

CREATE TABLE IF NOT EXISTS deliveries (
    notification_id TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS settlements (
    transaction_id INTEGER NOT NULL,
    looks          INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS reconciliations (
    account_id  INTEGER NOT NULL,
    entries     BIGINT NOT NULL,
    cents       BIGINT NOT NULL,
    entries_off BIGINT NOT NULL,
    cents_off   BIGINT NOT NULL,
    unbooked    BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS refusals (
    row_id     INTEGER NOT NULL,
    account_id INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS reports (
    account_id    INTEGER NOT NULL,
    entries       BIGINT NOT NULL,
    credits_cents BIGINT NOT NULL,
    debits_cents  BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS report_chunks (
    number  INTEGER NOT NULL,
    waiting BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS effects (
    message_id TEXT NOT NULL,
    effect     TEXT NOT NULL,
    subject    TEXT NOT NULL
);
