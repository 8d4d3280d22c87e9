-- Durable work that is not always about a tenant: what an operation is about becomes its subject, operations run in lanes,
-- may be loops with a checkpoint, and may wait for a time or a signal without a worker.

ALTER TABLE operations ADD COLUMN subject TEXT;
-- A tenant's key is derived from its internal id, which a repeated answer about a spawn needs when the tenant is gone.
UPDATE operations SET
    subject = CASE WHEN env_id = 0 THEN 'platform' ELSE 'tenant/' || env_id END,
    input = CASE WHEN kind = 'spawn' THEN '{"tenant":"' || tenant || '"}' ELSE input END;
-- What it is about: `tenant/7`, `platform`. Refers to no row on purpose: an operation outlives its subject.
ALTER TABLE operations ALTER COLUMN subject SET NOT NULL;
DROP INDEX operations_one_active;
DROP INDEX operations_to_claim;
DROP INDEX operations_by_env;
DROP INDEX operations_by_age;
ALTER TABLE operations DROP COLUMN tenant;
ALTER TABLE operations DROP COLUMN env_id;
-- Whether no other exclusive operation on the subject may be unfinished.
ALTER TABLE operations ADD COLUMN exclusive BIGINT NOT NULL DEFAULT 1 CHECK (exclusive IN (0, 1));
-- A tenant may have got the number that a sweep is about since that was queued.
UPDATE operations SET exclusive = 0 WHERE kind = 'sweep';
-- Whether an exclusive operation that somebody asks for may cancel it instead of waiting for it.
ALTER TABLE operations ADD COLUMN yields BIGINT NOT NULL DEFAULT 0 CHECK (yields IN (0, 1));
UPDATE operations SET yields = 1 WHERE kind IN ('repair', 'halt');
ALTER TABLE operations ADD COLUMN lane TEXT NOT NULL DEFAULT 'engine';
-- How far a loop is, as its kind writes it, and which version of the kind's form that is; 0 where there is none.
ALTER TABLE operations ADD COLUMN checkpoint TEXT;
ALTER TABLE operations ADD COLUMN checkpoint_version BIGINT NOT NULL DEFAULT 0;
-- How long it may be tried without getting further: what `deadline` is set from when a loop's step is done.
ALTER TABLE operations ADD COLUMN patience BIGINT NOT NULL DEFAULT 3600000000;
ALTER TABLE operations ALTER COLUMN patience DROP DEFAULT;
ALTER TABLE operations ALTER COLUMN deadline DROP DEFAULT;
-- While it waits: when it goes on at the latest, and which signal it goes on at.
ALTER TABLE operations ADD COLUMN wake_at BIGINT;
ALTER TABLE operations ADD COLUMN awaits TEXT;
ALTER TABLE operations DROP CONSTRAINT operations_state_check;
ALTER TABLE operations ADD CONSTRAINT operations_state_check
    CHECK (state IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled', 'stuck'));
ALTER TABLE operations ADD CONSTRAINT operations_waiting_check
    CHECK (state <> 'waiting' OR wake_at IS NOT NULL OR awaits IS NOT NULL);

CREATE UNIQUE INDEX operations_one_exclusive ON operations (subject)
    WHERE exclusive = 1 AND state IN ('queued', 'running', 'waiting');
CREATE INDEX operations_to_claim ON operations (lane, org, created_at, id) WHERE state IN ('queued', 'running');
CREATE INDEX operations_running ON operations (lease_owner) WHERE state = 'running';
CREATE INDEX operations_to_wake ON operations (wake_at) WHERE state = 'waiting' AND wake_at IS NOT NULL;
CREATE INDEX operations_by_subject ON operations (subject, created_at, id);
CREATE INDEX operations_by_age ON operations (updated_at) WHERE state NOT IN ('queued', 'running', 'waiting');

-- What an operation was told and has not taken note of yet. `name` is what it may wait for; the same key is told once.
CREATE TABLE signals (
    operation TEXT   NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    name      TEXT   NOT NULL,
    key       TEXT   NOT NULL,
    payload   TEXT   NOT NULL,
    at        BIGINT NOT NULL,
    -- Whether a step has seen it; kept for as long as the operation, so that the same key is never told twice.
    seen      BIGINT NOT NULL DEFAULT 0 CHECK (seen IN (0, 1)),
    PRIMARY KEY (operation, name, key)
);

-- Up to which moment each schedule has begun what was due, in microseconds since 1970 (UTC).
CREATE TABLE schedules (
    name  TEXT   PRIMARY KEY,
    up_to BIGINT NOT NULL
);

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
