-- What receiving one message of a known customer takes: the statements of
-- ingress.Receiver and conversation.Receive, with rows of one instead of many.
\set n random(1, {{.Customers}})
\set w random(1, 5000)
begin;
select set_config('app.tenant_id', '{{.Tenant}}', true), set_config('statement_timeout', '30000', true);
select id, received_at, installation_id, plugin, state, delivery, result, attempts from crm.inbox
where tenant_id = '{{.Tenant}}' and id = {{id 11 ":w"}} and received_at = date_trunc('day', now(), 'UTC') + interval '12 hours'
order by received_at, id for update;
select pg_advisory_xact_lock(k) from unnest(array[:n, 100000 + :n]::bigint[]) k;
select n.id, n.installation_id, n.kind, n.value from crm.accounts n
where n.tenant_id = '{{.Tenant}}' and n.installation_id = '{{.Installation}}' and n.kind = 'phone_number_id' and n.value = '160287659448471';
select m.account_id, m.external_id from crm.messages m
where m.tenant_id = '{{.Tenant}}' and m.account_id = {{id 3 "0"}} and m.external_id = 'wamid.' || (:n)::text;
select i.kind, i.match_key, i.value, i.contact_id
from (values ('wa_id', '54:11' || (:n)::text), ('phone', '54:11' || (:n)::text), ('bsuid', 'AR.' || (:n)::text)) k(kind, match_key)
join crm.identities i on i.tenant_id = '{{.Tenant}}' and i.kind = k.kind and i.match_key = k.match_key;
update crm.identities i set value = k.value, last_seen_at = now()
from (values ('wa_id', '54:11' || (:n)::text, '54911' || (:n)::text), ('bsuid', 'AR.' || (:n)::text, 'AR.' || (:n)::text)) k(kind, match_key, value)
where i.tenant_id = '{{.Tenant}}' and i.kind = k.kind and i.match_key = k.match_key;
select v.id, v.contact_id, v.account_id, case when l.status = 'open' then v.lead_id end as lead_id, v.status, v.holder, v.epoch, v.assistant_id,
	v.assignee_id, v.window_expires_at, v.unread, v.preview, v.last_message_at, v.last_inbound_at
from crm.conversations v join crm.leads l on l.tenant_id = v.tenant_id and l.id = v.lead_id
where v.tenant_id = '{{.Tenant}}' and v.account_id = {{id 3 "0"}} and v.contact_id = {{id 6 ":n"}} order by v.id for update of v;
update crm.conversations set lead_id = {{id 9 ":n"}}, status = 'open', preview = 'Hola! Vi el 3 ambientes de Acoyte al 400 en Caballito.',
	unread = unread + 1, last_message_at = now(), last_inbound_at = now(), window_expires_at = now() + interval '1 day', version = version + 1, updated_at = now()
where tenant_id = '{{.Tenant}}' and id = {{id 10 ":n"}};
insert into crm.messages (tenant_id, id, conversation_id, account_id, direction, author, author_id, type, text, external_id, status, occurred_at, created_at)
values ('{{.Tenant}}', gen_random_uuid(), {{id 10 ":n"}}, {{id 3 "0"}}, 'in', 'contact', {{id 6 ":n"}}, 'text',
	'Hola! Vi el 3 ambientes de Acoyte al 400 en Caballito. ¿Sigue disponible? ¿Aceptan mascotas?', 'wamid.' || gen_random_uuid(), 'received', now(), now());
insert into crm.events (tenant_id, id, type, lead_id, contact_id, conversation_id, actor, actor_id, payload, occurred_at)
values ('{{.Tenant}}', gen_random_uuid(), 'message_received', {{id 9 ":n"}}, {{id 6 ":n"}}, {{id 10 ":n"}}, 'contact', {{id 6 ":n"}},
	'{"message_id": "01a20ac2-b96d-7bff-b0f9-41c6a52b9c1d", "type": "text", "preview": "Hola! Vi el 3 ambientes de Acoyte al 400 en Caballito."}', now());
update crm.leads set activity_at = now() where tenant_id = '{{.Tenant}}' and id = {{id 9 ":n"}};
insert into river.river_job (args, kind, max_attempts, queue, priority, state, scheduled_at, metadata, tags)
values ('{"tenant": "{{.Tenant}}", "conversations": ["{{.Installation}}"]}', 'conversation_followed', 25, 'automation', 1, 'available', now(), '{}', '{}');
update crm.inbox set state = 'done', done_at = now(), error = ''
where tenant_id = '{{.Tenant}}' and id = {{id 11 ":w"}} and received_at = date_trunc('day', now(), 'UTC') + interval '12 hours';
commit;
