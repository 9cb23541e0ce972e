-- The data plane, alike in the shared database and in every dedicated one.
-- Every table carries tenant_id, first in every key; row-level security is
-- enabled and forced. Columns that drive an index have leakproof operators.

-- +goose Up

-- isolate puts a table behind the tenant setting. The policy's subselect is
-- evaluated once a statement; nullif because the setting falls back to '' at
-- the end of a transaction, and no tenant must mean no rows.
-- +goose StatementBegin
create function crm.isolate(tab regclass, rights text) returns void
language plpgsql set search_path = pg_catalog as $$
begin
    execute format('alter table %s enable row level security', tab);
    execute format('alter table %s force row level security', tab);
    execute format('create policy tenant on %s'
        ' using (tenant_id = (select nullif(current_setting(''app.tenant_id'', true), '''')::uuid))'
        ' with check (tenant_id = (select nullif(current_setting(''app.tenant_id'', true), '''')::uuid))', tab);
    if rights <> '' then
        execute format('grant %s on %s to strato_app', rights, tab);
        execute format('grant select, insert, update, delete on %s to strato_sys', tab);
    end if;
end $$;
-- +goose StatementEnd
revoke all on function crm.isolate(regclass, text) from public;

create table crm.contacts (
    tenant_id  uuid not null,
    id         uuid not null,
    name       text not null default '',
    -- Lower case without accents, for prefix search with ^@.
    name_key   text collate "C" not null default '',
    owner_id   uuid,
    version    int not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id)
);
create index contacts_name on crm.contacts (tenant_id, name_key);

-- What a person is known by. value is as the provider gave it, match_key what
-- two spellings of the same thing share.
create table crm.identities (
    tenant_id    uuid not null,
    id           uuid not null,
    contact_id   uuid not null,
    kind         text not null check (kind ~ '^[a-z][a-z0-9_]{0,31}$'),
    value        text not null,
    match_key    text collate "C" not null,
    created_at   timestamptz not null,
    last_seen_at timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, kind, match_key),
    foreign key (tenant_id, contact_id) references crm.contacts on delete cascade
);
create index identities_contact on crm.identities (tenant_id, contact_id);

create table crm.pipelines (
    tenant_id  uuid not null,
    id         uuid not null,
    key        text not null,
    name       text not null,
    is_default boolean not null default false,
    created_at timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, key)
);
create unique index pipelines_default on crm.pipelines (tenant_id) where is_default;

create table crm.stages (
    tenant_id   uuid not null,
    id          uuid not null,
    pipeline_id uuid not null,
    key         text not null,
    name        text not null,
    outcome     text not null default 'open' check (outcome in ('open', 'won', 'lost')),
    position    int not null,
    created_at  timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, pipeline_id, key),
    foreign key (tenant_id, pipeline_id) references crm.pipelines on delete cascade
);

create table crm.leads (
    tenant_id   uuid not null,
    id          uuid not null,
    contact_id  uuid not null,
    pipeline_id uuid not null,
    stage_id    uuid not null,
    status      text not null default 'open' check (status in ('open', 'won', 'lost')),
    source      text not null check (source in ('whatsapp', 'instagram', 'facebook', 'web', 'ads', 'portal', 'import', 'manual', 'other')),
    channel     text not null default '',
    assignee_id uuid,
    -- Where the person came from: ad, click id, form. Shape: lead.Referral.
    referral    jsonb,
    version     int not null default 1,
    created_at  timestamptz not null,
    updated_at  timestamptz not null,
    activity_at timestamptz not null,
    closed_at   timestamptz,
    primary key (tenant_id, id),
    foreign key (tenant_id, contact_id) references crm.contacts,
    foreign key (tenant_id, pipeline_id) references crm.pipelines,
    foreign key (tenant_id, stage_id) references crm.stages
);
create index leads_contact on crm.leads (tenant_id, contact_id);
create index leads_stage on crm.leads (tenant_id, stage_id, id);
create index leads_assignee on crm.leads (tenant_id, assignee_id, id);

create table crm.installations (
    tenant_id        uuid not null,
    id               uuid not null,
    plugin           text not null,
    name             text not null default '',
    state            text not null default 'draft' check (state in ('draft', 'active', 'disabled', 'broken')),
    settings         jsonb not null default '{}',
    settings_version int not null default 1,
    -- Grows with each activated change of settings; 0 before the first.
    revision         bigint not null default 0,
    -- Shape: installation.Health. Null before the first check.
    health           jsonb,
    checked_at       timestamptz,
    webhook_url      text not null default '',
    version          int not null default 1,
    created_at       timestamptz not null,
    updated_at       timestamptz not null,
    primary key (tenant_id, id)
);
create index installations_plugin on crm.installations (tenant_id, plugin);

create table crm.installation_secrets (
    tenant_id       uuid not null,
    installation_id uuid not null,
    -- JSON pointer into the settings.
    pointer         text not null,
    sealed          bytea not null,
    key_version     int not null,
    -- Last characters, to recognise the value by; empty for short ones.
    hint            text not null default '',
    updated_at      timestamptz not null,
    primary key (tenant_id, installation_id, pointer),
    foreign key (tenant_id, installation_id) references crm.installations on delete cascade
);

-- A provider account or number of an installation.
create table crm.accounts (
    tenant_id       uuid not null,
    id              uuid not null,
    installation_id uuid not null,
    kind            text not null,
    value           text not null,
    label           text not null default '',
    created_at      timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, installation_id, kind, value),
    foreign key (tenant_id, installation_id) references crm.installations on delete cascade
);

create table crm.assistants (
    tenant_id         uuid not null,
    id                uuid not null,
    name              text not null,
    greeting          text not null default '',
    -- Words by which a customer asks for a person, lower case without accents.
    handoff_words     text[] not null default '{}',
    is_default        boolean not null default false,
    active            boolean not null default true,
    created_at        timestamptz not null,
    updated_at        timestamptz not null,
    primary key (tenant_id, id)
);
create unique index assistants_default on crm.assistants (tenant_id) where is_default;

create table crm.conversations (
    tenant_id         uuid not null,
    id                uuid not null,
    contact_id        uuid not null,
    account_id        uuid not null,
    lead_id           uuid not null,
    status            text not null default 'open' check (status in ('open', 'pending', 'closed')),
    holder            text not null default 'none' check (holder in ('bot', 'human', 'none')),
    -- Grows whenever the holder changes; a send decided under an older one is refused.
    epoch             int not null default 1,
    assistant_id      uuid,
    assignee_id       uuid,
    greeted_at        timestamptz,
    -- Until when free-form replies are allowed; null for no such limit.
    window_expires_at timestamptz,
    unread            int not null default 0 check (unread >= 0),
    preview           text not null default '',
    last_message_at   timestamptz not null,
    last_inbound_at   timestamptz,
    version           int not null default 1,
    created_at        timestamptz not null,
    updated_at        timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, account_id, contact_id),
    foreign key (tenant_id, contact_id) references crm.contacts,
    foreign key (tenant_id, account_id) references crm.accounts,
    foreign key (tenant_id, lead_id) references crm.leads,
    foreign key (tenant_id, assistant_id) references crm.assistants
);
create index conversations_recent on crm.conversations (tenant_id, last_message_at, id);
create index conversations_lead on crm.conversations (tenant_id, lead_id);
create index conversations_contact on crm.conversations (tenant_id, contact_id);

create table crm.messages (
    tenant_id       uuid not null,
    id              uuid not null,
    conversation_id uuid not null,
    account_id      uuid not null,
    direction       text not null check (direction in ('in', 'out')),
    author          text not null check (author in ('contact', 'assistant', 'user', 'provider')),
    author_id       uuid,
    type            text not null,
    text            text not null default '',
    -- Shape: conversation.Content.
    content         jsonb,
    -- The provider's id; unique within the account.
    external_id     text,
    reply_to        text not null default '',
    status          text not null check (status in ('received', 'queued', 'dispatching', 'sent', 'delivered', 'read', 'failed', 'unknown')),
    failure_code    text not null default '',
    failure_detail  text not null default '',
    provider_code   text not null default '',
    attempts        int not null default 0,
    -- Epoch of the conversation under which sending was decided.
    epoch           int not null default 0,
    not_before      timestamptz,
    dispatched_at   timestamptz,
    occurred_at     timestamptz not null,
    sent_at         timestamptz,
    delivered_at    timestamptz,
    read_at         timestamptz,
    failed_at       timestamptz,
    created_at      timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, account_id, external_id),
    foreign key (tenant_id, conversation_id) references crm.conversations,
    foreign key (tenant_id, account_id) references crm.accounts
);
create index messages_page on crm.messages (tenant_id, conversation_id, occurred_at, id);
create index messages_outbox on crm.messages (tenant_id, conversation_id, id) where status in ('queued', 'dispatching');

-- Ticks for messages that are not known yet: they wait for the send to be
-- recorded.
create table crm.parked_updates (
    tenant_id   uuid not null,
    account_id  uuid not null,
    external_id text not null,
    status      text not null,
    -- Shape: conversation.Update.
    detail      jsonb not null,
    occurred_at timestamptz not null,
    created_at  timestamptz not null,
    primary key (tenant_id, account_id, external_id, status),
    foreign key (tenant_id, account_id) references crm.accounts
);

-- The timeline. Append-only: the application may neither change nor delete.
create table crm.events (
    tenant_id       uuid not null,
    id              uuid not null,
    type            text not null,
    lead_id         uuid,
    contact_id      uuid,
    conversation_id uuid,
    actor           text not null check (actor in ('contact', 'user', 'assistant', 'system', 'provider')),
    actor_id        uuid,
    payload         jsonb not null default '{}',
    occurred_at     timestamptz not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, lead_id) references crm.leads,
    foreign key (tenant_id, contact_id) references crm.contacts
);
create index events_lead on crm.events (tenant_id, lead_id, id);

-- Every webhook as it came, until it is dropped with its day. state:
-- raw = the plugin has not seen it, ready = events wait, done, dead = given up.
create table crm.inbox (
    tenant_id       uuid not null,
    id              uuid not null,
    received_at     timestamptz not null,
    installation_id uuid not null,
    plugin          text not null,
    state           text not null check (state in ('raw', 'ready', 'done', 'dead')),
    -- A strato.plugin.v1.WebhookDelivery; the tenant's own part only.
    delivery        bytea not null,
    -- A strato.plugin.v1.WebhookResult; null while raw.
    result          bytea,
    attempts        int not null default 0,
    -- A raw row is not shown to the plugin before; null: as soon as possible.
    not_before      timestamptz,
    error           text not null default '',
    done_at         timestamptz,
    primary key (tenant_id, id, received_at)
) partition by range (received_at);
create index inbox_waiting on crm.inbox (tenant_id, received_at, id) where state in ('raw', 'ready');

-- Events that could not be taken, each with its reason; its neighbours were.
create table crm.failed_events (
    tenant_id  uuid not null,
    id         uuid not null,
    inbox_id   uuid not null,
    dedupe_key text not null,
    -- A strato.plugin.v1.Event.
    event      bytea not null,
    reason     text not null,
    created_at timestamptz not null,
    primary key (tenant_id, id),
    unique (tenant_id, inbox_id, dedupe_key)
);

-- Answers to requests that carried an Idempotency-Key.
create table crm.idempotency (
    tenant_id    uuid not null,
    route        text not null,
    key          text not null,
    request_hash bytea not null,
    -- 0 while the first request is being worked on.
    status       int not null default 0,
    body         bytea,
    created_at   timestamptz not null,
    primary key (tenant_id, route, key)
);

select crm.isolate('crm.contacts', 'select, insert, update, delete');
select crm.isolate('crm.identities', 'select, insert, update, delete');
select crm.isolate('crm.pipelines', 'select, insert, update, delete');
select crm.isolate('crm.stages', 'select, insert, update, delete');
select crm.isolate('crm.leads', 'select, insert, update, delete');
select crm.isolate('crm.installations', 'select, insert, update, delete');
select crm.isolate('crm.installation_secrets', 'select, insert, update, delete');
select crm.isolate('crm.accounts', 'select, insert, update, delete');
select crm.isolate('crm.assistants', 'select, insert, update, delete');
select crm.isolate('crm.conversations', 'select, insert, update, delete');
select crm.isolate('crm.messages', 'select, insert, update, delete');
select crm.isolate('crm.parked_updates', 'select, insert, update, delete');
select crm.isolate('crm.events', 'select, insert');
select crm.isolate('crm.inbox', 'select, insert, update');
select crm.isolate('crm.failed_events', 'select, insert, update, delete');
select crm.isolate('crm.idempotency', 'select, insert, update, delete');

-- The grouped webhook insert spans tenants; its role may do nothing else.
create policy ingest on crm.inbox for insert to strato_ingest with check (true);
grant insert on crm.inbox to strato_ingest;

-- A day without a partition must not refuse a webhook.
create table crm.inbox_default partition of crm.inbox default;
select crm.isolate('crm.inbox_default', '');

-- ensure_inbox_days makes the partitions of a span of days (UTC) and says how
-- many were missing. A day that has rows in the default partition already stays
-- there. drop_inbox_days drops those before a day, except where a row still
-- waits, and says how many; of the default partition it deletes the rows.
-- +goose StatementBegin
create function crm.ensure_inbox_days(first date, days int) returns int
language plpgsql security definer set search_path = pg_catalog as $$
declare
    made int := 0;
    d date;
    part text;
begin
    for d in select generate_series(first, first + days - 1, interval '1 day')::date loop
        part := 'inbox_' || to_char(d, 'YYYYMMDD');
        continue when to_regclass('crm.' || part) is not null;
        begin
            execute format('create table crm.%I partition of crm.inbox for values from (%L) to (%L)',
                part, (d::text || ' 00:00:00+00'), ((d + 1)::text || ' 00:00:00+00'));
            perform crm.isolate(('crm.' || part)::regclass, '');
            made := made + 1;
        exception when check_violation then
            raise notice 'the day % has rows in crm.inbox_default and stays there', d;
        end;
    end loop;
    return made;
end $$;

create function crm.drop_inbox_days(before date) returns int
language plpgsql security definer set search_path = pg_catalog as $$
declare
    dropped int := 0;
    part text;
    waiting boolean;
begin
    -- Forced row security binds the owner too: what follows needs to see every
    -- tenant's rows, so the policy is lifted inside this transaction.
    for part in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'crm.inbox'::regclass and c.relname ~ '^inbox_[0-9]{8}$'
          and to_date(right(c.relname, 8), 'YYYYMMDD') < before
    loop
        execute format('alter table crm.%I no force row level security', part);
        execute format('select exists (select 1 from crm.%I where state in (''raw'', ''ready''))', part) into waiting;
        if waiting then
            execute format('alter table crm.%I force row level security', part);
        else
            execute format('drop table crm.%I', part);
            dropped := dropped + 1;
        end if;
    end loop;
    alter table crm.inbox_default no force row level security;
    delete from crm.inbox_default where received_at < before::timestamp at time zone 'utc' and state not in ('raw', 'ready');
    alter table crm.inbox_default force row level security;
    return dropped;
end $$;
-- +goose StatementEnd
revoke all on function crm.ensure_inbox_days(date, int), crm.drop_inbox_days(date) from public;
grant execute on function crm.ensure_inbox_days(date, int), crm.drop_inbox_days(date) to strato_sys;

select crm.ensure_inbox_days((now() at time zone 'utc')::date - 1, 9);

-- +goose Down
drop function crm.drop_inbox_days(date);
drop function crm.ensure_inbox_days(date, int);
drop table crm.idempotency, crm.failed_events, crm.inbox, crm.events, crm.parked_updates, crm.messages,
    crm.conversations, crm.assistants, crm.accounts, crm.installation_secrets, crm.installations, crm.leads,
    crm.stages, crm.pipelines, crm.identities, crm.contacts;
drop function crm.isolate(regclass, text);
