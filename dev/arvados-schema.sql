-- The part of Arvados' database that arvados-nats reads, for the demo and the tests.
--
-- Written from the description of its tables (arvados-schema.json: names, types, nullability, keys), not taken from Arvados. A test
-- compares the two. Names that are unique within an owner are left out: they are no keys. What a reader must know:
--   * every time is UTC in a `timestamp without time zone`, with microseconds;
--   * the primary key is the replica identity, so a DELETE in logical replication carries nothing else: `id`, of credentials `uuid`;
--   * `uuid` may be NULL in most tables;
--   * materialized_permissions, trashed_groups and frozen_groups have no primary key: a publication must never name them.

-- Users and groups: the nodes of the permission graph --------------------------------------------------------------

CREATE TABLE users (
    id bigserial PRIMARY KEY,
    uuid character varying(255),
    owner_uuid character varying(255) NOT NULL,
    created_at timestamp without time zone NOT NULL,
    modified_by_client_uuid character varying(255),
    modified_by_user_uuid character varying(255),
    modified_at timestamp without time zone,
    email character varying(255),
    first_name character varying(255),
    last_name character varying(255),
    identity_url character varying(255),
    is_admin boolean,                            -- nullable
    prefs text,                                  -- JSON
    updated_at timestamp without time zone NOT NULL,
    default_owner_uuid character varying(255),
    is_active boolean DEFAULT false,
    username character varying(255),
    redirect_to_user_uuid character varying      -- set: merged into that account, hidden everywhere
);
CREATE UNIQUE INDEX index_users_on_identity_url ON users (identity_url);
CREATE UNIQUE INDEX index_users_on_username ON users (username);
CREATE UNIQUE INDEX index_users_on_uuid ON users (uuid);
CREATE INDEX index_users_on_owner_uuid ON users (owner_uuid);

CREATE TABLE groups (
    id bigserial PRIMARY KEY,
    uuid character varying(255),
    owner_uuid character varying(255),
    created_at timestamp without time zone NOT NULL,
    modified_by_client_uuid character varying(255),
    modified_by_user_uuid character varying(255),
    modified_at timestamp without time zone,
    name character varying(255) NOT NULL,
    description character varying(524288),
    updated_at timestamp without time zone NOT NULL,
    group_class character varying(255),          -- project, role, filter
    trash_at timestamp without time zone,
    is_trashed boolean DEFAULT false NOT NULL,
    delete_at timestamp without time zone,
    properties jsonb DEFAULT '{}',
    frozen_by_uuid character varying
);
CREATE UNIQUE INDEX index_groups_on_uuid ON groups (uuid);
CREATE INDEX index_groups_on_owner_uuid ON groups (owner_uuid);

CREATE TABLE links (
    id bigserial PRIMARY KEY,
    uuid character varying(255),
    owner_uuid character varying(255),
    created_at timestamp without time zone NOT NULL,
    modified_by_client_uuid character varying(255),
    modified_by_user_uuid character varying(255),
    modified_at timestamp without time zone,
    tail_uuid character varying(255),
    link_class character varying(255),           -- permission, tag, signature, ...
    name character varying(255),                 -- of a permission: can_read, can_login, can_write, can_manage
    head_uuid character varying(255),
    properties jsonb DEFAULT '{}',
    updated_at timestamp without time zone NOT NULL
);
CREATE UNIQUE INDEX index_links_on_uuid ON links (uuid);
CREATE INDEX index_links_on_tail_uuid ON links (tail_uuid);
CREATE INDEX index_links_on_head_uuid ON links (head_uuid);

-- Objects -----------------------------------------------------------------------------------------------------------

CREATE TABLE collections (
    id bigserial PRIMARY KEY,
    owner_uuid character varying(255),
    created_at timestamp without time zone NOT NULL,
    modified_by_client_uuid character varying(255),
    modified_by_user_uuid character varying(255),
    modified_at timestamp without time zone,
    portable_data_hash character varying(255),
    replication_desired integer,
    replication_confirmed_at timestamp without time zone,
    replication_confirmed integer,
    updated_at timestamp without time zone NOT NULL,
    uuid character varying(255),
    manifest_text text,
    name character varying(255),
    description character varying(524288),
    properties jsonb DEFAULT '{}',
    delete_at timestamp without time zone,
    file_names text,
    trash_at timestamp without time zone,
    is_trashed boolean DEFAULT false NOT NULL,
    storage_classes_desired jsonb,
    storage_classes_confirmed jsonb,
    storage_classes_confirmed_at timestamp without time zone,
    current_version_uuid character varying,      -- other than uuid: a past version
    version integer DEFAULT 1 NOT NULL,
    preserve_version boolean DEFAULT false,
    file_count integer DEFAULT 0 NOT NULL,
    file_size_total bigint DEFAULT 0 NOT NULL
);
CREATE UNIQUE INDEX index_collections_on_current_version_uuid_and_version ON collections (current_version_uuid, version);
CREATE UNIQUE INDEX index_collections_on_uuid ON collections (uuid);
CREATE INDEX index_collections_on_owner_uuid ON collections (owner_uuid);

CREATE TABLE containers (
    id bigserial PRIMARY KEY,
    uuid character varying(255),
    owner_uuid character varying(255),           -- root
    created_at timestamp without time zone NOT NULL,
    modified_at timestamp without time zone,
    modified_by_client_uuid character varying(255),
    modified_by_user_uuid character varying(255),
    state character varying(255),                -- Queued, Locked, Running, Complete, Cancelled
    started_at timestamp without time zone,
    finished_at timestamp without time zone,
    log character varying(255),                  -- portable data hash
    environment text,                            -- JSON
    cwd character varying(255),
    command text,                                -- JSON
    output_path character varying(255),
    mounts text DEFAULT '{}',                    -- JSON
    runtime_constraints text DEFAULT '{}',       -- JSON
    output character varying(255),               -- portable data hash
    container_image character varying(255),
    progress double precision,
    priority bigint,                             -- request's priority * 2^50 - created_at in ms: beyond 2^53
    updated_at timestamp without time zone NOT NULL,
    exit_code integer,
    auth_uuid character varying(255),            -- the container's own token while Locked or Running
    locked_by_uuid character varying(255),       -- the dispatcher's token
    scheduling_parameters text DEFAULT '{}',     -- JSON
    secret_mounts jsonb DEFAULT '{}',            -- secret
    secret_mounts_md5 character varying,
    runtime_status jsonb DEFAULT '{}',
    runtime_user_uuid text,
    runtime_auth_scopes jsonb,
    runtime_token text,                          -- secret
    lock_count integer DEFAULT 0 NOT NULL,
    gateway_address character varying,
    interactive_session_started boolean DEFAULT false NOT NULL,
    output_storage_classes jsonb,
    output_properties jsonb,
    cost double precision DEFAULT 0.0 NOT NULL,
    subrequests_cost double precision DEFAULT 0.0 NOT NULL,
    output_glob text,
    service boolean DEFAULT false NOT NULL,
    published_ports jsonb
);
CREATE UNIQUE INDEX index_containers_on_uuid ON containers (uuid);
CREATE INDEX index_containers_on_auth_uuid ON containers (auth_uuid);

CREATE TABLE container_requests (
    id bigserial PRIMARY KEY,
    uuid character varying(255),
    owner_uuid character varying(255),
    created_at timestamp without time zone NOT NULL,
    modified_at timestamp without time zone,
    modified_by_client_uuid character varying(255),
    modified_by_user_uuid character varying(255),
    name character varying(255),
    description text,
    properties jsonb DEFAULT '{}',
    state character varying(255),                -- Uncommitted, Committed, Final
    requesting_container_uuid character varying(255),
    container_uuid character varying(255),
    container_count_max integer,
    mounts text DEFAULT '{}',                    -- JSON
    runtime_constraints text DEFAULT '{}',       -- JSON
    container_image character varying(255),
    environment text,                            -- JSON
    cwd character varying(255),
    command text,                                -- JSON
    output_path character varying(255),
    priority integer,                            -- 0..1000
    expires_at timestamp without time zone,
    filters text,
    updated_at timestamp without time zone NOT NULL,
    container_count integer DEFAULT 0,
    use_existing boolean DEFAULT true,
    scheduling_parameters text DEFAULT '{}',     -- JSON
    output_uuid character varying(255),
    log_uuid character varying(255),
    output_name character varying(255),
    output_ttl integer DEFAULT 0 NOT NULL,
    secret_mounts jsonb DEFAULT '{}',            -- secret
    runtime_token text,                          -- secret
    output_storage_classes jsonb,
    output_properties jsonb,
    cumulative_cost double precision DEFAULT 0.0 NOT NULL,
    output_glob text,
    service boolean DEFAULT false NOT NULL,
    published_ports jsonb
);
CREATE UNIQUE INDEX index_container_requests_on_uuid ON container_requests (uuid);
CREATE INDEX index_container_requests_on_container_uuid ON container_requests (container_uuid);
CREATE INDEX index_container_requests_on_owner_uuid ON container_requests (owner_uuid);

CREATE TABLE workflows (
    id bigserial PRIMARY KEY,
    uuid character varying(255),
    owner_uuid character varying(255),
    created_at timestamp without time zone NOT NULL,
    modified_at timestamp without time zone,
    modified_by_client_uuid character varying(255),
    modified_by_user_uuid character varying(255),
    name character varying(255),
    description text,
    definition text,
    updated_at timestamp without time zone NOT NULL,
    collection_uuid character varying
);
CREATE UNIQUE INDEX index_workflows_on_uuid ON workflows (uuid);

CREATE TABLE authorized_keys (
    id bigserial PRIMARY KEY,
    uuid character varying(255) NOT NULL,
    owner_uuid character varying(255) NOT NULL,
    modified_by_client_uuid character varying(255),
    modified_by_user_uuid character varying(255),
    modified_at timestamp without time zone,
    name character varying(255),
    key_type character varying(255),
    authorized_user_uuid character varying(255),
    public_key text,
    expires_at timestamp without time zone,
    created_at timestamp without time zone NOT NULL,
    updated_at timestamp without time zone NOT NULL
);
CREATE UNIQUE INDEX index_authorized_keys_on_uuid ON authorized_keys (uuid);

CREATE TABLE virtual_machines (
    id bigserial PRIMARY KEY,
    uuid character varying(255) NOT NULL,
    owner_uuid character varying(255) NOT NULL,
    modified_by_client_uuid character varying(255),
    modified_by_user_uuid character varying(255),
    modified_at timestamp without time zone,
    hostname character varying(255),
    created_at timestamp without time zone NOT NULL,
    updated_at timestamp without time zone NOT NULL
);
CREATE UNIQUE INDEX index_virtual_machines_on_uuid ON virtual_machines (uuid);

CREATE TABLE keep_services (
    id bigserial PRIMARY KEY,
    uuid character varying(255) NOT NULL,
    owner_uuid character varying(255) NOT NULL,
    modified_by_client_uuid character varying(255),
    modified_by_user_uuid character varying(255),
    modified_at timestamp without time zone,
    service_host character varying(255),
    service_port integer,
    service_ssl_flag boolean,
    service_type character varying(255),
    created_at timestamp without time zone NOT NULL,
    updated_at timestamp without time zone NOT NULL,
    read_only boolean DEFAULT false NOT NULL
);
CREATE UNIQUE INDEX index_keep_services_on_uuid ON keep_services (uuid);

CREATE TABLE credentials (
    uuid character varying PRIMARY KEY,           -- there is no `id`
    owner_uuid character varying NOT NULL,       -- root; its creator has a can_manage link
    created_at timestamp(6) without time zone NOT NULL,
    modified_at timestamp(6) without time zone NOT NULL,
    modified_by_user_uuid character varying,
    name character varying NOT NULL,
    description text,
    credential_class character varying NOT NULL,
    scopes jsonb DEFAULT '[]',
    external_id character varying NOT NULL,
    secret text NOT NULL,                        -- secret
    expires_at timestamp(6) without time zone NOT NULL
);
CREATE UNIQUE INDEX index_credentials_on_owner_uuid_and_name ON credentials (owner_uuid, name);

-- Tokens: no owner_uuid, the user stands in user_id -----------------------------------------------------------------

CREATE TABLE api_client_authorizations (
    id bigserial PRIMARY KEY,
    api_token character varying(255) NOT NULL,   -- secret, as plain text
    api_client_id bigint DEFAULT 0 NOT NULL,
    user_id bigint NOT NULL,                     -- users.id
    created_by_ip_address character varying(255),
    last_used_by_ip_address character varying(255),
    last_used_at timestamp without time zone,
    expires_at timestamp without time zone,
    created_at timestamp without time zone NOT NULL,
    updated_at timestamp without time zone NOT NULL,
    default_owner_uuid character varying(255),
    scopes text DEFAULT '["all"]',               -- JSON
    uuid character varying(255) NOT NULL,
    refreshes_at timestamp without time zone
);
CREATE UNIQUE INDEX index_api_client_authorizations_on_api_token ON api_client_authorizations (api_token);
CREATE UNIQUE INDEX index_api_client_authorizations_on_uuid ON api_client_authorizations (uuid);
CREATE INDEX index_api_client_authorizations_on_user_id ON api_client_authorizations (user_id);

-- The audit log: one row a change, and NOTIFY logs, '<id>' ------------------------------------------------------------

CREATE TABLE logs (
    id bigserial PRIMARY KEY,
    uuid character varying(255),
    owner_uuid character varying(255),           -- who acted
    modified_by_client_uuid character varying(255),
    modified_by_user_uuid character varying(255),
    object_uuid character varying(255),
    event_at timestamp without time zone,
    event_type character varying(255),
    summary text,
    properties text,                             -- JSON on one line
    created_at timestamp without time zone NOT NULL,
    updated_at timestamp without time zone NOT NULL,
    modified_at timestamp without time zone,
    object_owner_uuid character varying(255)     -- its owner after the change; of a deleted object the last one
);
CREATE UNIQUE INDEX index_logs_on_uuid ON logs (uuid);
CREATE INDEX index_logs_on_object_uuid ON logs (object_uuid);
CREATE INDEX index_logs_on_created_at ON logs (created_at);

-- Permissions as Arvados caches them (no primary keys) ----------------------------------------------------------------

CREATE TABLE materialized_permissions (
    user_uuid character varying,
    target_uuid character varying,
    perm_level integer,
    traverse_owned boolean
);
CREATE UNIQUE INDEX permission_user_target ON materialized_permissions (user_uuid, target_uuid);
CREATE INDEX permission_target ON materialized_permissions (target_uuid);

CREATE TABLE trashed_groups (
    group_uuid character varying,
    trash_at timestamp without time zone         -- may lie in the future
);
CREATE UNIQUE INDEX index_trashed_groups_on_group_uuid ON trashed_groups (group_uuid);

CREATE TABLE frozen_groups (
    uuid character varying
);
CREATE UNIQUE INDEX index_frozen_groups_on_uuid ON frozen_groups (uuid);

-- Who reaches whom: the edges that materialized_permissions is computed from. Levels: 1 read, 2 write, 3 manage.
CREATE VIEW permission_graph_edges (tail_uuid, head_uuid, val, edge_id) AS
    SELECT groups.owner_uuid, groups.uuid, 3, groups.uuid FROM groups
    UNION ALL
    SELECT users.owner_uuid, users.uuid, 3, users.uuid FROM users
    UNION ALL
    SELECT users.uuid, users.uuid, 3, ''::character varying FROM users
    UNION ALL
    SELECT links.tail_uuid, links.head_uuid,
           CASE links.name
               WHEN 'can_read' THEN 1
               WHEN 'can_login' THEN 1
               WHEN 'can_write' THEN 2
               WHEN 'can_manage' THEN 3
               ELSE 0
           END,
           links.uuid
      FROM links
     WHERE links.link_class = 'permission';
