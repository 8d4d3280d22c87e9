-- The foundation: organizations, tenants and what is bound to them, operations, keys, audit.
--
-- Types are the portable ones: UUIDs and JSON as text, times as integer microseconds since 1970 (UTC).
-- `migrations/postgres` holds the same tables under the same numbers. Files are append-only: once released,
-- never edited.

CREATE TABLE organizations (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT    NOT NULL,
    plan       TEXT    NOT NULL,
    -- The last sequence number of its audit rows. Raising it is also what makes transactions of one
    -- organization take turns.
    audit_seq  INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL
) STRICT;

-- `env_id` is the public id: from 1, never used twice.
CREATE TABLE tenants (
    env_id              INTEGER PRIMARY KEY AUTOINCREMENT,
    id                  TEXT    NOT NULL UNIQUE,
    org                 INTEGER NOT NULL REFERENCES organizations (id),
    name                TEXT    NOT NULL,
    spec                TEXT    NOT NULL,
    status              TEXT    NOT NULL
        CHECK (status IN ('provisioning', 'running', 'stopped', 'destroying', 'failed')),
    desired             TEXT    NOT NULL DEFAULT 'running' CHECK (desired IN ('running', 'stopped', 'absent')),
    generation          INTEGER NOT NULL DEFAULT 1,
    observed_generation INTEGER NOT NULL DEFAULT 0,
    current_revision    INTEGER,
    -- What is promised to it, for quotas: the limits of its newest revision.
    cpu_millis          INTEGER NOT NULL,
    memory_mb           INTEGER NOT NULL,
    disk_mb             INTEGER NOT NULL,
    replicas            INTEGER NOT NULL,
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    UNIQUE (org, name)
) STRICT;

CREATE INDEX tenants_by_org ON tenants (org, env_id);

-- A machine that runs containers. Raising `leases` makes transactions that lease something on it take turns.
CREATE TABLE nodes (
    name   TEXT PRIMARY KEY,
    leases INTEGER NOT NULL DEFAULT 0
) STRICT;

-- A port is leased to a tenant, or kept from everybody until a moment; a free one has no row.
CREATE TABLE ports (
    node             TEXT    NOT NULL REFERENCES nodes (name),
    port             INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    tenant           TEXT REFERENCES tenants (id) ON DELETE CASCADE,
    quarantine_until INTEGER,
    PRIMARY KEY (node, port),
    CHECK ((tenant IS NULL) <> (quarantine_until IS NULL))
) STRICT;

CREATE INDEX ports_by_tenant ON ports (tenant);

-- A network is leased like a port.
CREATE TABLE subnets (
    node             TEXT NOT NULL REFERENCES nodes (name),
    subnet           TEXT NOT NULL,
    tenant           TEXT REFERENCES tenants (id) ON DELETE CASCADE,
    quarantine_until INTEGER,
    PRIMARY KEY (node, subnet),
    CHECK ((tenant IS NULL) <> (quarantine_until IS NULL))
) STRICT;

CREATE INDEX subnets_by_tenant ON subnets (tenant);

-- What belongs to a tenant through all revisions.
CREATE TABLE bindings (
    tenant      TEXT    PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
    node        TEXT    NOT NULL,
    port        INTEGER NOT NULL,
    subnet      TEXT    NOT NULL,
    key_version INTEGER NOT NULL CHECK (key_version >= 1),
    FOREIGN KEY (node, port) REFERENCES ports (node, port),
    FOREIGN KEY (node, subnet) REFERENCES subnets (node, subnet)
) STRICT;

-- One plan of one tenant and what was built from it; what was built is set once.
CREATE TABLE revisions (
    tenant      TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL CHECK (number >= 1),
    plan        TEXT    NOT NULL,
    plugins     TEXT    NOT NULL,
    limits      TEXT    NOT NULL,
    env_version INTEGER NOT NULL DEFAULT 1,
    image_tag   TEXT,
    built       TEXT,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant, number),
    CHECK (built IS NULL OR image_tag IS NOT NULL)
) STRICT;

CREATE INDEX revisions_by_image ON revisions (image_tag) WHERE image_tag IS NOT NULL;

-- `tenant` refers to no row on purpose: an operation outlives its tenant.
CREATE TABLE operations (
    id              TEXT    PRIMARY KEY,
    org             INTEGER NOT NULL REFERENCES organizations (id),
    tenant          TEXT    NOT NULL,
    env_id          INTEGER NOT NULL,
    kind            TEXT    NOT NULL,
    input           TEXT    NOT NULL DEFAULT '{}',
    state           TEXT    NOT NULL
        CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'stuck')),
    failure         TEXT,
    actor           TEXT    NOT NULL,
    idempotency_key TEXT,
    request_hash    BLOB,
    cancel          INTEGER NOT NULL DEFAULT 0 CHECK (cancel IN (0, 1)),
    lease_owner     TEXT,
    lease_epoch     INTEGER NOT NULL DEFAULT 0,
    lease_until     INTEGER,
    last_event      INTEGER NOT NULL DEFAULT 0,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    UNIQUE (org, idempotency_key),
    CHECK (state <> 'running' OR lease_until IS NOT NULL)
) STRICT;

CREATE UNIQUE INDEX operations_one_active ON operations (tenant) WHERE state IN ('queued', 'running');
CREATE INDEX operations_to_claim ON operations (created_at, id) WHERE state IN ('queued', 'running');
CREATE INDEX operations_by_env ON operations (env_id, created_at, id);

-- Append-only history, without gaps in `seq`.
CREATE TABLE operation_events (
    operation TEXT    NOT NULL REFERENCES operations (id),
    seq       INTEGER NOT NULL,
    step      TEXT    NOT NULL,
    event     TEXT    NOT NULL,
    detail    TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (operation, seq)
) STRICT;

-- What verifies a tenant's key; the key itself is never stored.
CREATE TABLE tenant_keys (
    tenant     TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    version    INTEGER NOT NULL CHECK (version >= 1),
    lookup     TEXT    NOT NULL UNIQUE,
    verifier   BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, version)
) STRICT;

-- Written in the transaction it describes; refers to no tenant because it outlives all of them.
CREATE TABLE audit (
    org    INTEGER NOT NULL REFERENCES organizations (id),
    seq    INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    actor  TEXT    NOT NULL,
    action TEXT    NOT NULL,
    env_id INTEGER,
    detail TEXT    NOT NULL,
    PRIMARY KEY (org, seq)
) STRICT;

CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit rows are append-only: they cannot be changed');
END;

CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit rows are append-only: they cannot be deleted');
END;

-- INSERT OR REPLACE deletes without firing the trigger above unless recursive triggers are on.
CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE org = NEW.org AND seq = NEW.seq)
BEGIN
    SELECT RAISE(ABORT, 'audit rows are append-only: they cannot be replaced');
END;

INSERT INTO organizations (id, name, plan, created_at) VALUES (1, 'default', 'free', 0);
INSERT INTO nodes (name) VALUES ('local');

-- Whose database this is: one row. `key_check` is derived from the master key, which is not here.
CREATE TABLE installation (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    id        TEXT NOT NULL,
    key_check TEXT NOT NULL
) STRICT;
