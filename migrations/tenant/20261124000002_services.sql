-- What plugins keep at the core for an installation.

-- +goose Up

-- Small values. version grows with each write of a key, also of one that was
-- deleted before; an expired value counts as none.
create table crm.plugin_state (
    tenant_id       uuid not null,
    installation_id uuid not null,
    key             text collate "C" not null check (octet_length(key) between 1 and 200),
    value           bytea not null check (octet_length(value) <= 65536),
    version         bigint not null,
    expires_at      timestamptz,
    updated_at      timestamptz not null,
    primary key (tenant_id, installation_id, key),
    foreign key (tenant_id, installation_id) references crm.installations on delete cascade
);

-- Files; their bytes are in the data folder under the same ids.
create table crm.plugin_blobs (
    tenant_id       uuid not null,
    id              uuid not null,
    installation_id uuid not null,
    mime_type       text not null default '',
    size_bytes      bigint not null,
    sha256          text not null,
    created_at      timestamptz not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, installation_id) references crm.installations on delete cascade
);
create index plugin_blobs_installation on crm.plugin_blobs (tenant_id, installation_id, created_at);

select crm.isolate('crm.plugin_state', 'select, insert, update, delete');
select crm.isolate('crm.plugin_blobs', 'select, insert, delete');

-- +goose Down
drop table crm.plugin_blobs, crm.plugin_state;
