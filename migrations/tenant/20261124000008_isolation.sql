-- Processes that one installation has for itself.

-- +goose Up

-- The operator's choice: dedicated has a process of the plugin of its own.
alter table crm.installations add column isolation text not null default 'shared' check (isolation in ('shared', 'dedicated'));

-- +goose Down
alter table crm.installations drop column isolation;
