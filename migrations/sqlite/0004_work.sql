-- Durable work that is not always about a tenant: what an operation is about becomes its subject, operations run in lanes,
-- may be loops with a checkpoint, and may wait for a time or a signal without a worker.
--
-- SQLite cannot change a column or a check of a table that is there, so both tables are copied.

CREATE TABLE operations_new (
    id                 TEXT    PRIMARY KEY,
    org                INTEGER NOT NULL REFERENCES organizations (id),
    kind               TEXT    NOT NULL,
    -- What it is about: `tenant/7`, `platform`. Refers to no row on purpose: an operation outlives its subject.
    subject            TEXT    NOT NULL,
    -- Whether no other exclusive operation on the subject may be unfinished.
    exclusive          INTEGER NOT NULL DEFAULT 1 CHECK (exclusive IN (0, 1)),
    -- Whether an exclusive operation that somebody asks for may cancel it instead of waiting for it.
    yields             INTEGER NOT NULL DEFAULT 0 CHECK (yields IN (0, 1)),
    lane               TEXT    NOT NULL DEFAULT 'engine',
    input              TEXT    NOT NULL DEFAULT '{}',
    -- How far a loop is, as its kind writes it, and which version of the kind's form that is; 0 where there is none.
    checkpoint         TEXT,
    checkpoint_version INTEGER NOT NULL DEFAULT 0,
    state              TEXT    NOT NULL
        CHECK (state IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled', 'stuck')),
    direction          TEXT    NOT NULL DEFAULT 'forward' CHECK (direction IN ('forward', 'back')),
    -- Steps that were begun; on the way back, those that are still to be undone.
    progress           INTEGER NOT NULL DEFAULT 0,
    -- Workers that died over it since it last got further than ever before.
    crashes            INTEGER NOT NULL DEFAULT 0,
    -- Times it was put back because of something that may pass, since it last got further.
    retries            INTEGER NOT NULL DEFAULT 0,
    -- `not_before`, `deadline`, `wake_at` and `lease_until` count on the database's own clock, in microseconds.
    not_before         INTEGER NOT NULL DEFAULT 0,
    deadline           INTEGER NOT NULL,
    -- How long it may be tried without getting further: what `deadline` is set from when a loop's step is done.
    patience           INTEGER NOT NULL,
    -- While it waits: when it goes on at the latest, and which signal it goes on at.
    wake_at            INTEGER,
    awaits             TEXT,
    failure            TEXT,
    result             TEXT,
    actor              TEXT    NOT NULL,
    idempotency_key    TEXT,
    request_hash       BLOB,
    cancel             INTEGER NOT NULL DEFAULT 0 CHECK (cancel IN (0, 1)),
    lease_owner        TEXT,
    lease_epoch        INTEGER NOT NULL DEFAULT 0,
    lease_until        INTEGER,
    last_event         INTEGER NOT NULL DEFAULT 0,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL,
    UNIQUE (org, idempotency_key),
    CHECK (state <> 'running' OR lease_until IS NOT NULL),
    CHECK (state <> 'waiting' OR wake_at IS NOT NULL OR awaits IS NOT NULL)
) STRICT;

-- A tenant's key is derived from its internal id, which a repeated answer about a spawn needs when the tenant is gone.
INSERT INTO operations_new
    (id, org, kind, subject, exclusive, yields, input, state, direction, progress, crashes, retries, not_before, deadline, patience,
     failure, result, actor, idempotency_key, request_hash, cancel, lease_owner, lease_epoch, lease_until, last_event, created_at,
     updated_at)
SELECT id, org, kind, CASE WHEN env_id = 0 THEN 'platform' ELSE 'tenant/' || env_id END,
    -- A tenant may have got the number that a sweep is about since that was queued.
    CASE WHEN kind = 'sweep' THEN 0 ELSE 1 END,
    CASE WHEN kind IN ('repair', 'halt') THEN 1 ELSE 0 END,
    CASE WHEN kind = 'spawn' THEN '{"tenant":"' || tenant || '"}' ELSE input END,
    state, direction, progress, crashes, retries, not_before, deadline, 3600000000, failure,
    result, actor, idempotency_key, request_hash, cancel, lease_owner, lease_epoch, lease_until, last_event, created_at,
    updated_at
FROM operations;

CREATE TABLE operation_events_new (
    operation TEXT    NOT NULL REFERENCES operations_new (id),
    seq       INTEGER NOT NULL,
    step      TEXT    NOT NULL,
    event     TEXT    NOT NULL,
    detail    TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (operation, seq)
) STRICT;

INSERT INTO operation_events_new SELECT operation, seq, step, event, detail, at FROM operation_events;

-- The events first: nothing may refer to a table that goes.
DROP TABLE operation_events;
DROP TABLE operations;
ALTER TABLE operations_new RENAME TO operations;
ALTER TABLE operation_events_new RENAME TO operation_events;

CREATE UNIQUE INDEX operations_one_exclusive ON operations (subject)
    WHERE exclusive = 1 AND state IN ('queued', 'running', 'waiting');
CREATE INDEX operations_to_claim ON operations (lane, org, created_at, id) WHERE state IN ('queued', 'running');
CREATE INDEX operations_running ON operations (lease_owner) WHERE state = 'running';
CREATE INDEX operations_to_wake ON operations (wake_at) WHERE state = 'waiting' AND wake_at IS NOT NULL;
CREATE INDEX operations_by_subject ON operations (subject, created_at, id);
CREATE INDEX operations_by_age ON operations (updated_at) WHERE state NOT IN ('queued', 'running', 'waiting');
CREATE INDEX operations_stuck ON operations (created_at, id) WHERE state = 'stuck';

-- What an operation was told and has not taken note of yet. `name` is what it may wait for; the same key is told once.
CREATE TABLE signals (
    operation TEXT    NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    name      TEXT    NOT NULL,
    key       TEXT    NOT NULL,
    payload   TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    -- Whether a step has seen it; kept for as long as the operation, so that the same key is never told twice.
    seen      INTEGER NOT NULL DEFAULT 0 CHECK (seen IN (0, 1)),
    PRIMARY KEY (operation, name, key)
) STRICT;

-- Up to which moment each schedule has begun what was due, in microseconds since 1970 (UTC).
CREATE TABLE schedules (
    name  TEXT    PRIMARY KEY,
    up_to INTEGER NOT NULL
) STRICT;

-- Why a tenant is failed or halted; absent while it is as it should be.
ALTER TABLE tenants ADD COLUMN failure TEXT;
-- Tenants that failed before: for what the newest operation says that is stuck or that halted them. What a halt was asked is
-- not read here: it holds what an app printed, of which PostgreSQL cannot read every character as JSON.
UPDATE tenants SET failure = (
    SELECT CASE WHEN o.state = 'stuck' THEN o.failure ELSE
        '{"step":"run","code":"app-exited","message":"the tenant was stopped: its app ended again and again",'
        || '"likelyCause":"the app does not stay up; the reason of its `halt` operation says how it ended, with its last lines",'
        || '"next":"fix the app or raise its limits, then repair the tenant (`convergence repair`) or destroy it","log":[]}' END
    FROM operations o
    WHERE o.subject = 'tenant/' || tenants.env_id AND (o.state = 'stuck' OR (o.kind = 'halt' AND o.state = 'succeeded'))
    ORDER BY o.created_at DESC, o.id DESC LIMIT 1
) WHERE status = 'failed';
