-- Operations that survive anything: which way one goes and how far it got, when it is tried again and until when, who
-- asked with which idempotency key, tenants that crash again and again, and duties that one server does for all.
--
-- `deadline` and `not_before` count on the database's own clock, like leases.

ALTER TABLE operations ADD COLUMN direction TEXT NOT NULL DEFAULT 'forward' CHECK (direction IN ('forward', 'back'));
-- Steps that were begun; on the way back, those that are still to be undone.
ALTER TABLE operations ADD COLUMN progress INTEGER NOT NULL DEFAULT 0;
-- Workers that died over it since it last got further than ever before.
ALTER TABLE operations ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;
-- Times it was put back because of something that may pass, since it last got further.
ALTER TABLE operations ADD COLUMN retries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE operations ADD COLUMN not_before INTEGER NOT NULL DEFAULT 0;
-- Those accepted before this migration have none that comes.
ALTER TABLE operations ADD COLUMN deadline INTEGER NOT NULL DEFAULT 9000000000000000;
-- What it made, once it has: enough to give the first answer again when the tenant is long gone.
ALTER TABLE operations ADD COLUMN result TEXT;

CREATE INDEX operations_by_age ON operations (updated_at) WHERE state NOT IN ('queued', 'running');
CREATE INDEX operations_stuck ON operations (created_at, id) WHERE state = 'stuck';

-- A tenant whose container ended by itself, again and again; gone once it stays up.
CREATE TABLE crash_loops (
    tenant     TEXT    PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
    crashes    INTEGER NOT NULL CHECK (crashes >= 1),
    not_before INTEGER NOT NULL
) STRICT;

-- What one server at a time does for all that share the database; `until` counts on the database's own clock.
CREATE TABLE duties (
    name   TEXT    PRIMARY KEY,
    holder TEXT    NOT NULL,
    until  INTEGER NOT NULL
) STRICT;
