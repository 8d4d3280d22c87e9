-- Deployments: what each revision was made of, by whom, and what became of it.

-- The tenant's spec as of this revision: language, source, limits asked for, variables.
ALTER TABLE revisions ADD COLUMN spec TEXT;
-- The operation that brings it up; none is known of revisions from before this migration.
ALTER TABLE revisions ADD COLUMN operation TEXT;
ALTER TABLE revisions ADD COLUMN actor TEXT NOT NULL DEFAULT '';
-- Why it was made, as its author wrote it.
ALTER TABLE revisions ADD COLUMN reason TEXT NOT NULL DEFAULT '';
-- The revision it restores.
ALTER TABLE revisions ADD COLUMN restores BIGINT;
ALTER TABLE revisions ADD COLUMN state TEXT NOT NULL DEFAULT 'ready'
    CHECK (state IN ('pending', 'ready', 'failed', 'replaced', 'retired'));
-- The source it was built from, while a build may need it.
ALTER TABLE revisions ADD COLUMN source TEXT;

UPDATE revisions SET spec = (SELECT t.spec FROM tenants t WHERE t.id = revisions.tenant);
UPDATE revisions SET state = 'pending'
    WHERE NOT EXISTS (SELECT 1 FROM tenants t WHERE t.id = revisions.tenant AND t.current_revision IS NOT NULL);

-- A spawn that is under way brings up the only revision there is.
UPDATE revisions SET operation = (SELECT o.id FROM operations o JOIN tenants t ON o.subject = 'tenant/' || t.env_id
        WHERE t.id = revisions.tenant AND o.kind = 'spawn' ORDER BY o.created_at DESC, o.id DESC LIMIT 1)
    WHERE state = 'pending';

CREATE INDEX revisions_by_operation ON revisions (operation) WHERE operation IS NOT NULL;
CREATE INDEX revisions_by_source ON revisions (source) WHERE source IS NOT NULL;

-- Whose a source is that was uploaded. What is in it lies in the folder of sources under its digest, once for all.
CREATE TABLE sources (
    org         BIGINT NOT NULL REFERENCES organizations (id),
    digest      TEXT    NOT NULL,
    bytes       BIGINT NOT NULL,
    files       BIGINT NOT NULL,
    -- When it was uploaded last.
    received_at BIGINT NOT NULL,
    PRIMARY KEY (org, digest)
);

CREATE INDEX sources_by_digest ON sources (digest);
