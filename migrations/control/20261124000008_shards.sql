-- Processes that one installation has for itself, in the nodes' reports.

-- +goose Up

-- The installation's id; empty for shared processes.
alter table control.plugin_incidents add column shard text not null default '';
alter table control.plugin_nodes add column shard text not null default '';
alter table control.plugin_nodes drop constraint plugin_nodes_pkey, add primary key (node, plugin, canary, shard);

-- +goose Down
delete from control.plugin_nodes where shard <> '';
alter table control.plugin_nodes drop constraint plugin_nodes_pkey, add primary key (node, plugin, canary);
alter table control.plugin_nodes drop column shard;
alter table control.plugin_incidents drop column shard;
