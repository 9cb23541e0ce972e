-- Webhooks of nobody known that plugins died with.

-- +goose Up

-- In how many exits of the plugin's process the request was under way.
alter table control.spool add column crashes int not null default 0;
create index spool_dead on control.spool (received_at) where state = 'dead';

-- +goose Down
drop index control.spool_dead;
alter table control.spool drop column crashes;
