-- Installed plugins: what an administrator decided about each, and the components themselves.

-- One row. Raised by every change, so that two writers cannot both change the same moment, and read by servers that
-- share the database to see that something changed.
CREATE TABLE plugin_inventory (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL
) STRICT;

INSERT INTO plugin_inventory (one, seq) VALUES (1, 0);

CREATE TABLE plugins (
    id            TEXT    PRIMARY KEY,
    kind          TEXT    NOT NULL,
    enabled       INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    -- JSON; NULL is what the configuration file says.
    configuration TEXT,
    -- A JSON list of organizations; NULL is everybody.
    organizations TEXT,
    -- Digests of the version in use and of the one before it.
    active        TEXT,
    previous      TEXT,
    highest       TEXT    NOT NULL
) STRICT;

CREATE TABLE plugin_versions (
    plugin       TEXT    NOT NULL REFERENCES plugins (id) ON DELETE CASCADE,
    digest       TEXT    NOT NULL,
    version      TEXT    NOT NULL,
    source       TEXT    NOT NULL,
    signature    TEXT,
    installed_at INTEGER NOT NULL,
    bytes        BLOB    NOT NULL,
    PRIMARY KEY (plugin, digest)
) STRICT;

-- Who changed what, when. `seq` is that of the inventory.
CREATE TABLE plugin_audit (
    seq    INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    actor  TEXT    NOT NULL,
    action TEXT    NOT NULL,
    plugin TEXT    NOT NULL,
    detail TEXT    NOT NULL
) STRICT;

CREATE TRIGGER plugin_audit_no_update BEFORE UPDATE ON plugin_audit
BEGIN
    SELECT RAISE(ABORT, 'audit rows are append-only: they cannot be changed');
END;

CREATE TRIGGER plugin_audit_no_delete BEFORE DELETE ON plugin_audit
BEGIN
    SELECT RAISE(ABORT, 'audit rows are append-only: they cannot be deleted');
END;

CREATE TRIGGER plugin_audit_no_replace BEFORE INSERT ON plugin_audit
WHEN EXISTS (SELECT 1 FROM plugin_audit WHERE seq = NEW.seq)
BEGIN
    SELECT RAISE(ABORT, 'audit rows are append-only: they cannot be replaced');
END;
