-- Webhooks and messages that plugins died with.

-- +goose Up

-- In how many exits of the plugin's process the webhook was under way.
alter table crm.inbox add column crashes int not null default 0;
create index inbox_dead on crm.inbox (received_at) where state = 'dead';
-- Messages in whose sending the plugin's process ended: conversation.FailureCrashed.
create index messages_crashed on crm.messages (dispatched_at) where status = 'unknown' and failure_code = 'plugin_crashed';

-- +goose Down
drop index crm.messages_crashed;
drop index crm.inbox_dead;
alter table crm.inbox drop column crashes;
