-- The floor's rows: one agency with as many customers, each in a conversation.
-- Running it again changes nothing.
insert into crm.installations (tenant_id, id, plugin, created_at, updated_at)
values ('{{.Tenant}}', '{{.Installation}}', 'whatsapp', now(), now()) on conflict do nothing;
insert into crm.accounts (tenant_id, id, installation_id, kind, value, created_at)
values ('{{.Tenant}}', {{id 3 "0"}}, '{{.Installation}}', 'phone_number_id', '160287659448471', now()) on conflict do nothing;
insert into crm.pipelines (tenant_id, id, key, name, is_default, created_at)
values ('{{.Tenant}}', {{id 4 "0"}}, 'search', 'search', true, now()) on conflict do nothing;
insert into crm.stages (tenant_id, id, pipeline_id, key, name, position, created_at)
values ('{{.Tenant}}', {{id 5 "0"}}, {{id 4 "0"}}, 'new', 'new', 1, now()) on conflict do nothing;
insert into crm.contacts (tenant_id, id, name, name_key, created_at, updated_at)
select '{{.Tenant}}'::uuid, {{id 6 "n"}}, 'Lucía Ferreyra', 'lucia ferreyra', now(), now()
from generate_series(1, {{.Customers}}) n on conflict do nothing;
insert into crm.identities (tenant_id, id, contact_id, kind, value, match_key, created_at, last_seen_at)
select '{{.Tenant}}'::uuid, {{id 7 "n"}}, {{id 6 "n"}}, 'wa_id', '54911' || n, '54:11' || n, now(), now()
from generate_series(1, {{.Customers}}) n
union all
select '{{.Tenant}}'::uuid, {{id 8 "n"}}, {{id 6 "n"}}, 'bsuid', 'AR.' || n, 'AR.' || n, now(), now()
from generate_series(1, {{.Customers}}) n on conflict do nothing;
insert into crm.leads (tenant_id, id, contact_id, pipeline_id, stage_id, source, created_at, updated_at, activity_at)
select '{{.Tenant}}'::uuid, {{id 9 "n"}}, {{id 6 "n"}}, {{id 4 "0"}}, {{id 5 "0"}}, 'whatsapp', now(), now(), now()
from generate_series(1, {{.Customers}}) n on conflict do nothing;
insert into crm.conversations (tenant_id, id, contact_id, account_id, lead_id, holder, last_message_at, created_at, updated_at)
select '{{.Tenant}}'::uuid, {{id 10 "n"}}, {{id 6 "n"}}, {{id 3 "0"}}, {{id 9 "n"}}, 'human', now(), now(), now()
from generate_series(1, {{.Customers}}) n on conflict do nothing;
-- As many webhooks that wait as Strato's inbox has at a busy moment. The time is
-- noon UTC of today, in the partition of the day.
insert into crm.inbox (tenant_id, id, received_at, installation_id, plugin, state, delivery, result)
select '{{.Tenant}}'::uuid, {{id 11 "n"}}, date_trunc('day', now(), 'UTC') + interval '12 hours', '{{.Installation}}', 'whatsapp', 'ready', {{.Delivery}}, {{.Result}}
from generate_series(1, 5000) n on conflict do nothing;
analyze;
