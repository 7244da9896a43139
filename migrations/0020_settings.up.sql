CREATE TABLE settings (
    name       text        NOT NULL,
    value      text        NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by text        NOT NULL,
    CONSTRAINT settings_pkey PRIMARY KEY (name)
);
COMMENT ON TABLE settings IS 'Settings that are not at their default; audit_log has what they were before';
COMMENT ON COLUMN settings.name IS 'Name of the setting, such as symbols';
COMMENT ON COLUMN settings.value IS 'Its value as text';
COMMENT ON COLUMN settings.changed_at IS 'When the value was given';
COMMENT ON COLUMN settings.changed_by IS 'Who gave it';
