-- Installed plugins: what an administrator decided about each, and the components themselves.

-- One row. Raised by every change, so that two writers cannot both change the same moment, and read by servers that
-- share the database to see that something changed.
CREATE TABLE plugin_inventory (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq BIGINT  NOT NULL
);

INSERT INTO plugin_inventory (one, seq) VALUES (1, 0);

CREATE TABLE plugins (
    id            TEXT    PRIMARY KEY,
    kind          TEXT    NOT NULL,
    enabled       BIGINT  NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    -- JSON; NULL is what the configuration file says.
    configuration TEXT,
    -- A JSON list of organizations; NULL is everybody.
    organizations TEXT,
    -- Digests of the version in use and of the one before it.
    active        TEXT,
    previous      TEXT,
    highest       TEXT    NOT NULL
);

CREATE TABLE plugin_versions (
    plugin       TEXT    NOT NULL REFERENCES plugins (id) ON DELETE CASCADE,
    digest       TEXT    NOT NULL,
    version      TEXT    NOT NULL,
    source       TEXT    NOT NULL,
    signature    TEXT,
    installed_at BIGINT  NOT NULL,
    bytes        BYTEA   NOT NULL,
    PRIMARY KEY (plugin, digest)
);

-- Who changed what, when. `seq` is that of the inventory.
CREATE TABLE plugin_audit (
    seq    BIGINT PRIMARY KEY,
    at     BIGINT NOT NULL,
    actor  TEXT    NOT NULL,
    action TEXT    NOT NULL,
    plugin TEXT    NOT NULL,
    detail TEXT    NOT NULL
);

CREATE TRIGGER plugin_audit_no_update BEFORE UPDATE OR DELETE ON plugin_audit
FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();

CREATE TRIGGER plugin_audit_no_truncate BEFORE TRUNCATE ON plugin_audit
FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
