-- The revision whose container this one runs in, where its limits alone are different: they are changed while it runs.
ALTER TABLE revisions ADD COLUMN container BIGINT;
