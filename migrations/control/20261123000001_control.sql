-- The control plane: who the tenants are, where they live, who may sign in and
-- where webhooks go. It is never on the hot path uncached.

-- +goose Up
create table control.tenants (
    id            uuid primary key,
    slug          text not null unique check (slug ~ '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$'),
    name          text not null check (name <> ''),
    email         text not null default '',
    phone         text not null default '',
    plan          text not null default 'basic' check (plan in ('basic', 'pro', 'enterprise')),
    active        boolean not null default true,
    locale        text not null default 'es-AR',
    time_zone     text not null default 'America/Argentina/Buenos_Aires',
    base_currency text not null default 'USD' check (base_currency ~ '^[A-Z]{3}$'),
    config        jsonb not null default '{}',
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now()
);

-- A tenant's own host names, lower case, without port.
create table control.tenant_domains (
    domain     text primary key check (domain = lower(domain)),
    tenant_id  uuid not null references control.tenants on delete cascade,
    created_at timestamptz not null default now()
);

-- Places where tenants' data can live. dsn_ref says how to reach one without
-- holding a secret: "same:NAME" is a database of the control plane's own
-- server, "file:PATH" a file whose content is the URL of its admin role.
create table control.databases (
    id             uuid primary key,
    name           text not null unique check (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    kind           text not null check (kind in ('shared', 'dedicated')),
    dsn_ref        text not null check (dsn_ref ~ '^(same|file):.+$'),
    max_conns      int not null default 16 check (max_conns between 1 and 1000),
    state          text not null default 'active' check (state in ('active', 'draining', 'off')),
    schema_version bigint not null default 0,
    created_at     timestamptz not null default now()
);

create table control.placements (
    tenant_id   uuid primary key references control.tenants on delete cascade,
    database_id uuid not null references control.databases,
    epoch       bigint not null default 1,
    state       text not null default 'active' check (state in ('active', 'copying', 'frozen', 'cutover')),
    updated_at  timestamptz not null default now()
);
create index placements_database on control.placements (database_id);

-- The key under which a tenant's secrets are sealed, itself sealed by the key
-- ring. The newest version seals, older ones open.
create table control.tenant_keys (
    tenant_id  uuid not null references control.tenants on delete cascade,
    version    int not null,
    key_id     text not null,
    sealed     bytea not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, version)
);

create table control.users (
    id            uuid primary key,
    email         text not null unique check (email = lower(email) and email <> ''),
    name          text not null default '',
    password_hash text not null default '',
    locale        text not null default 'es-AR',
    operator      boolean not null default false,
    active        boolean not null default true,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now()
);

-- version grows with every change of role or standing, so that sessions made
-- under an older one can be told.
create table control.memberships (
    tenant_id     uuid not null references control.tenants on delete cascade,
    user_id       uuid not null references control.users on delete cascade,
    role          text not null check (role <> '' and role <> 'operator'),
    team          text not null default '',
    supervisor_id uuid references control.users on delete set null,
    active        boolean not null default true,
    version       int not null default 1,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    primary key (tenant_id, user_id)
);
create index memberships_user on control.memberships (user_id);

-- A sign-in and its rotating refresh token. tenant_id is null for an operator
-- outside every tenant.
create table control.sessions (
    id            uuid primary key,
    user_id       uuid not null references control.users on delete cascade,
    tenant_id     uuid references control.tenants on delete cascade,
    token_hash    bytea not null,
    previous_hash bytea,
    rotated_at    timestamptz,
    user_agent    text not null default '',
    address       text not null default '',
    created_at    timestamptz not null default now(),
    last_seen_at  timestamptz not null default now(),
    expires_at    timestamptz not null,
    revoked_at    timestamptz,
    revoked_for   text not null default ''
);
create index sessions_user on control.sessions (user_id) where revoked_at is null;
create index sessions_expiry on control.sessions (expires_at);

-- Routing keys that a provider confirmed: who gets a webhook that names no
-- installation. A key belongs to one installation.
create table control.routes (
    plugin          text not null,
    kind            text not null,
    value           text not null,
    tenant_id       uuid not null references control.tenants on delete cascade,
    installation_id uuid not null,
    confirmed_at    timestamptz not null default now(),
    primary key (plugin, kind, value)
);
create index routes_installation on control.routes (tenant_id, installation_id);

-- The secret part of an installation's webhook URL, hashed with SHA-256. Two
-- are valid while one replaces the other.
create table control.webhook_tokens (
    token_hash      bytea primary key,
    plugin          text not null,
    tenant_id       uuid not null references control.tenants on delete cascade,
    installation_id uuid not null,
    created_at      timestamptz not null default now(),
    expires_at      timestamptz
);
create index webhook_tokens_installation on control.webhook_tokens (tenant_id, installation_id);

-- Provider-level webhooks that came while the plugin could not say whose they
-- are. request is a strato.plugin.v1.HttpRequest.
create table control.spool (
    id          uuid primary key,
    plugin      text not null,
    endpoint    text not null default '',
    request     bytea not null,
    received_at timestamptz not null,
    attempts    int not null default 0,
    -- Not looked at before; null: as soon as possible.
    not_before  timestamptz,
    error       text not null default '',
    state       text not null default 'waiting' check (state in ('waiting', 'dead'))
);
create index spool_order on control.spool (plugin, received_at, id) where state = 'waiting';

grant select, insert, update, delete on all tables in schema control to strato_app;
grant select on all tables in schema control to strato_sys;

-- +goose Down
drop table control.spool, control.webhook_tokens, control.routes, control.sessions, control.memberships,
    control.users, control.tenant_keys, control.placements, control.databases, control.tenant_domains, control.tenants;
