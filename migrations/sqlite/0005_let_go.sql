-- What the store knew and let go: the proof that a sweep needs before it removes something from the engine.

-- Whether a tenant was here once and is gone is in the audit, whose rows outlive everything else.
CREATE INDEX audit_by_tenant ON audit (env_id, action);

-- Names (a tag, or the engine's id) of the images of revisions that are gone. Pruned like operations.
CREATE TABLE images_let_go (
    name TEXT    PRIMARY KEY,
    at   INTEGER NOT NULL
) STRICT;
