CREATE TABLE users (
    username            text COLLATE "C" NOT NULL,
    email               text             NOT NULL DEFAULT '',
    role                text             NOT NULL,
    password_hash       text             NOT NULL,
    created_at          timestamptz      NOT NULL DEFAULT now(),
    password_changed_at timestamptz      NOT NULL DEFAULT now(),
    last_login_at       timestamptz,
    CONSTRAINT users_pkey PRIMARY KEY (username),
    CONSTRAINT users_username_check CHECK (username = lower(username) AND username <> ''),
    CONSTRAINT users_role_check CHECK (role IN ('admin', 'viewer'))
);
COMMENT ON TABLE users IS 'Who may use the service';
COMMENT ON COLUMN users.username IS 'Name, in small letters';
COMMENT ON COLUMN users.email IS 'Address, empty where none is known';
COMMENT ON COLUMN users.role IS 'What the user may do: admin or viewer';
COMMENT ON COLUMN users.password_hash IS 'argon2id hash with its costs and salt';
COMMENT ON COLUMN users.created_at IS 'When the user was made';
COMMENT ON COLUMN users.password_changed_at IS 'When the password was given';
COMMENT ON COLUMN users.last_login_at IS 'When a password of the user''s was last right, to the minute';

CREATE TABLE sessions (
    token_hash bytea            NOT NULL,
    session_id text             NOT NULL,
    username   text COLLATE "C" NOT NULL,
    address    text             NOT NULL,
    created_at timestamptz      NOT NULL,
    used_at    timestamptz      NOT NULL,
    expires_at timestamptz      NOT NULL,
    CONSTRAINT sessions_pkey PRIMARY KEY (token_hash),
    CONSTRAINT sessions_username_fkey FOREIGN KEY (username) REFERENCES users ON DELETE CASCADE
);
CREATE INDEX sessions_username_idx ON sessions (username);
COMMENT ON TABLE sessions IS 'Browsers that users logged in by';
COMMENT ON COLUMN sessions.token_hash IS 'SHA-256 of what the browser''s cookie holds';
COMMENT ON COLUMN sessions.session_id IS 'Names the session and does not open it';
COMMENT ON COLUMN sessions.username IS 'Whose session it is';
COMMENT ON COLUMN sessions.address IS 'Where it was begun from';
COMMENT ON COLUMN sessions.created_at IS 'When it was begun';
COMMENT ON COLUMN sessions.used_at IS 'When it was last used, to the minute';
COMMENT ON COLUMN sessions.expires_at IS 'When it ends, however often it is used';

CREATE TABLE tokens (
    token_id   bigint           GENERATED ALWAYS AS IDENTITY,
    token_hash bytea            NOT NULL,
    username   text COLLATE "C" NOT NULL,
    name       text             NOT NULL,
    role       text             NOT NULL,
    created_at timestamptz      NOT NULL,
    expires_at timestamptz      NOT NULL,
    used_at    timestamptz,
    CONSTRAINT tokens_pkey PRIMARY KEY (token_id),
    CONSTRAINT tokens_token_hash_key UNIQUE (token_hash),
    CONSTRAINT tokens_name_key UNIQUE (username, name),
    CONSTRAINT tokens_role_check CHECK (role IN ('admin', 'viewer')),
    CONSTRAINT tokens_username_fkey FOREIGN KEY (username) REFERENCES users ON DELETE CASCADE
);
COMMENT ON TABLE tokens IS 'What programs show in place of a password';
COMMENT ON COLUMN tokens.token_id IS 'Names the token and does not open anything';
COMMENT ON COLUMN tokens.token_hash IS 'SHA-256 of the token';
COMMENT ON COLUMN tokens.username IS 'Whose token it is';
COMMENT ON COLUMN tokens.name IS 'What it is for';
COMMENT ON COLUMN tokens.role IS 'The most it may do, whatever its user may';
COMMENT ON COLUMN tokens.created_at IS 'When it was made';
COMMENT ON COLUMN tokens.expires_at IS 'When it ends';
COMMENT ON COLUMN tokens.used_at IS 'When it was last used, to the minute';

CREATE TABLE audit_log (
    entry_id bigint      GENERATED ALWAYS AS IDENTITY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor    text        NOT NULL,
    address  text        NOT NULL,
    action   text        NOT NULL,
    subject  text        NOT NULL,
    outcome  text        NOT NULL,
    details  jsonb,
    CONSTRAINT audit_log_pkey PRIMARY KEY (entry_id),
    CONSTRAINT audit_log_outcome_check CHECK (outcome IN ('done', 'refused'))
);
CREATE INDEX audit_log_at_idx ON audit_log (at);
COMMENT ON TABLE audit_log IS 'Who did what; no secrets';
COMMENT ON COLUMN audit_log.entry_id IS 'Rises with every entry';
COMMENT ON COLUMN audit_log.at IS 'When it was done';
COMMENT ON COLUMN audit_log.actor IS 'The username, which may be gone by now; empty where nobody was known';
COMMENT ON COLUMN audit_log.address IS 'Where it was done from, empty at a command line';
COMMENT ON COLUMN audit_log.action IS 'What was done, such as log_in or change_setting';
COMMENT ON COLUMN audit_log.subject IS 'What it was done to, such as a username or a setting';
COMMENT ON COLUMN audit_log.outcome IS 'done or refused';
COMMENT ON COLUMN audit_log.details IS 'More of it, by name';
