-- Releases of plugins, which of them run, and what happened to them. The files
-- are in each node's plugin store; here is what the nodes must agree on.

-- +goose Up
create table control.plugin_releases (
    plugin          text not null check (plugin <> ''),
    sha256          text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    version         text not null,
    manifest        jsonb not null,
    manifest_sha256 text not null,
    -- What the binary was built for; empty if it does not tell.
    platform        text not null default '',
    -- The name of the trusted key; empty if nobody signed it.
    signer          text not null default '',
    installed_at    timestamptz not null default now(),
    primary key (plugin, sha256)
);

-- Which release runs. canary runs beside it for the tenants of canary_tenants.
-- revision grows with every change.
create table control.plugin_pins (
    plugin         text primary key,
    sha256         text not null,
    previous       text,
    activated_at   timestamptz not null,
    canary         text,
    canary_tenants uuid[] not null default '{}',
    revision       bigint not null default 1,
    foreign key (plugin, sha256) references control.plugin_releases,
    foreign key (plugin, previous) references control.plugin_releases,
    foreign key (plugin, canary) references control.plugin_releases
);

create table control.plugin_pin_changes (
    id         uuid primary key,
    plugin     text not null,
    at         timestamptz not null default now(),
    before     text,
    after      text not null,
    canary     text,
    automatic  boolean not null,
    reason     text not null
);
create index plugin_pin_changes_order on control.plugin_pin_changes (plugin, at);

-- Processes that ended against the core's will. stderr holds no secrets that
-- the core gave to the plugin.
create table control.plugin_incidents (
    id         uuid primary key,
    plugin     text not null,
    version    text not null,
    sha256     text not null,
    canary     boolean not null,
    node       text not null,
    at         timestamptz not null,
    cause      text not null,
    detail     text not null,
    exit_code  int not null,
    signal     text not null,
    uptime_ms  bigint not null,
    max_rss    bigint not null,
    stderr     text[] not null,
    in_flight  jsonb not null,
    next       text not null
);
create index plugin_incidents_order on control.plugin_incidents (plugin, at);
create index plugin_incidents_age on control.plugin_incidents (at);

-- Quarantines of a release on a node; ended_at is null while one lasts.
create table control.plugin_quarantines (
    id       uuid primary key,
    plugin   text not null,
    sha256   text not null,
    node     text not null,
    began_at timestamptz not null default now(),
    until    timestamptz not null,
    reason   text not null,
    ended_at timestamptz
);
create unique index plugin_quarantines_open on control.plugin_quarantines (node, plugin, sha256) where ended_at is null;
create index plugin_quarantines_order on control.plugin_quarantines (plugin, began_at);

-- What each node runs, as it last told.
create table control.plugin_nodes (
    node      text not null,
    plugin    text not null,
    canary    boolean not null,
    version   text not null,
    sha256    text not null,
    state     text not null,
    reason    text not null,
    pid       int not null,
    rss       bigint not null,
    in_flight int not null,
    since     timestamptz not null,
    seen_at   timestamptz not null default now(),
    primary key (node, plugin, canary)
);

grant select, insert, update, delete on control.plugin_releases, control.plugin_pins, control.plugin_pin_changes,
    control.plugin_incidents, control.plugin_quarantines, control.plugin_nodes to strato_app;
grant select on control.plugin_releases, control.plugin_pins, control.plugin_pin_changes,
    control.plugin_incidents, control.plugin_quarantines, control.plugin_nodes to strato_sys;

-- +goose Down
drop table control.plugin_nodes, control.plugin_quarantines, control.plugin_incidents, control.plugin_pin_changes,
    control.plugin_pins, control.plugin_releases;
