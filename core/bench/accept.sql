-- What accepting one webhook writes: its inbox row and the job that takes it.
with stored as (
	insert into crm.inbox (tenant_id, id, received_at, installation_id, plugin, state, delivery, result)
	values ('{{.Tenant}}', gen_random_uuid(), now(), '{{.Installation}}', 'whatsapp', 'ready', {{.Delivery}}, {{.Result}})
)
insert into river.river_job (args, kind, max_attempts, queue, priority, state, scheduled_at, metadata, tags)
values ('{"rows": [{"t": "{{.Tenant}}", "i": "{{.Installation}}", "a": "2026-01-01T00"}]}', 'inbox_received', 25, 'receive', 1, 'available', now(), '{}', '{}');
