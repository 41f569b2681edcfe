"""Every statement of the Postgres store.

The commit is one statement, so that it is one transaction and one round trip. It leaves out repeats (a look-up of each key),
numbers the rest from their conversations' heads, checks the term, writes event, message, key and head, and answers with the
offset or the first ack of every row; rows of unknown conversations are missing from the answer.

Trap (feasibility, appendix F): the planner does not know how long `unnest` is, and with plain joins it hashed the whole key
table. Hence the lateral probes and `WRITER_SETTINGS`, which hold on the writer's connection only; a test looks at the plan.
"""

from typing import Final

NOTICE_CLOSED: Final = """
select set_config(name, '1000', false) from pg_settings where name = 'client_connection_check_interval'
"""
"""A statement that waits ends soon after its server was killed, and gives the lock back (Postgres 14 or later)."""

LOCK_KEY: Final = 0x6875_6262_7562_0001  # "hubbub", then the version of what the lock means

WRITER_SETTINGS: Final = {
    "plan_cache_mode": "force_generic_plan",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    "jit": "off",
    "synchronous_commit": "on",  # an ack is a commit on disk, whatever the database's default
    # A server that vanished without a word must not hold the lock for hours (no effect on unix sockets).
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

_COMMIT: Final = """
with input as materialized (
    select i.*, c.head, k."offset" as first_offset, k.id as first_id, k.at as first_at, k.digest as first_digest
    from unnest(
        $2::text[], $3::text[], $4::uuid[], $5::json[], $6::text[], $7::bigint[], $8::json[],
        $9::text[], $10::text[], $11::json[], $12::text[], $13::bytea[], $14::text[]
    ) with ordinality as i(
        conversation, type, id, actor, author, at_ms, body, text, reply_to, meta, key, digest, request_id, place
    )
    left join lateral (select head from conversations where id = i.conversation limit 1) c on true
    left join lateral (
        select "offset", id, at, digest from keys
        where conversation = i.conversation and author = i.author and key = i.key limit 1
    ) k on true
), fresh as materialized (
    select *, to_timestamp(at_ms / 1000.0) as at,
        head + row_number() over (partition by conversation collate "C" order by place) as "offset"
    from input
    where first_offset is null and head is not null and (select term from server) = $1
), new_heads as (
    update conversations c set head = f.head%(change)s
    from (
        select conversation, max("offset") as head%(changes)s
        from fresh group by conversation
    ) f
    where c.id = f.conversation
), new_events as (
    insert into events (conversation, "offset", type, id, actor, at, body, request_id)
    select conversation, "offset", type, id, actor, at, body, request_id from fresh
), new_messages as (
    insert into messages (id, conversation, "offset", author, text, reply_to, meta, created_at)
    select id, conversation, "offset", actor, text, reply_to, meta, at from fresh where type = 'message.created'
), new_keys as (
    insert into keys (conversation, author, key, digest, "offset", id, at)
    select conversation, author, key, digest, "offset", id, at from fresh where key is not null
)%(members)s
select place, "offset", null::text, null::bigint, null::bytea, null::json from fresh
union all
select place, first_offset, first_id::text, (extract(epoch from first_at) * 1000)::bigint, first_digest,
    (select e.actor from events e where e.conversation = input.conversation and e."offset" = first_offset)
from input where first_offset is not null
union all
select 0, (select term from server), null, null, null, null
"""


def _last(field: str, cast: str = "") -> str:
    """The last value that the changes of one conversation give a field, or null."""
    value = f"(body->>'{field}'){cast}"
    return (
        f"(array_agg({value} order by place desc)"
        f" filter (where type like 'conversation.%' and body->>'{field}' is not null))[1] as {field}"
    )


COMMIT: Final = _COMMIT % {"change": "", "changes": "", "members": ""}
"""For messages only, nearly every time."""

COMMIT_CHANGES: Final = _COMMIT % {
    "change": """,
        title = coalesce(f.title, c.title), visibility = coalesce(f.visibility, c.visibility),
        archived = coalesce(f.archived, c.archived), slow_s = coalesce(f.slow_s, c.slow_s)""",
    "changes": (
        f", {_last('title')}, {_last('visibility')}, {_last('archived', '::boolean')}, {_last('slow_s', '::integer')}"
    ),
    "members": """, wished as materialized (
    select conversation, body->'user'->>'id' as user_id, body->'user'->>'name' as name, body->'user'->>'kind' as kind,
        body->>'role' as role, (body->>'banned')::boolean as banned,
        to_timestamp(nullif((body->>'joined_at_ms')::bigint, 0) / 1000.0) as joined_at,
        to_timestamp(nullif((body->>'muted_until_ms')::bigint, 0) / 1000.0) as muted_until
    from fresh where type like 'member.%'
), kept as (
    insert into members (conversation, user_id, name, kind, role, joined_at, muted_until, banned)
    select conversation, user_id, name, kind, role, joined_at, muted_until, banned from wished
    where banned or joined_at is not null or muted_until is not null
    on conflict (conversation, user_id) do update set name = excluded.name, kind = excluded.kind, role = excluded.role,
        joined_at = excluded.joined_at, muted_until = excluded.muted_until, banned = excluded.banned
), let_go as (
    delete from members m using wished w
    where m.conversation = w.conversation and m.user_id = w.user_id
        and not w.banned and w.joined_at is null and w.muted_until is null
)""",
}
"""When a conversation's or a membership's event is among the rows; at most one of a conversation's rows changes a membership,
because a conversation decides one after the other is settled."""

PRESENT: Final = """
select e.id::text, e."offset"
from unnest($1::text[]) as i(conversation)
join conversations c on c.id = i.conversation
join lateral (
    select id, "offset" from events
    where conversation = i.conversation and "offset" > c.head - $3::bigint and id = any($2::uuid[])
) e on true
"""
"""Which rows of a commit of unknown outcome are stored. Nothing newer than that commit is, so only the newest are looked at."""

TRY_LOCK: Final = "select pg_try_advisory_lock($1)"

HOLDER: Final = """
select a.pid, a.application_name, coalesce(a.client_addr::text, 'a local socket')
from pg_locks l join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
    and l.database = (select oid from pg_database where datname = current_database())
    and (l.classid::bigint << 32) + l.objid::bigint = $1
"""

RENEW_EPOCHS: Final = """
with renewed as (
    update conversations set epoch = left(replace(gen_random_uuid()::text, '-', ''), 8) returning 1
), ahead as (
    update server set term = term + (1 << 20)
)
select count(*) from renewed
"""
"""For a database that came out of a backup. Its term, too: a server that still writes for the lost one may have any since."""

BEGIN_RESTORE: Final = "create table if not exists restore_unfinished (since timestamptz not null default now())"
"""For as long as it is there, the rows beside it came out of a backup and clients must not see them yet; dumps leave it out."""
IS_RESTORE_UNFINISHED: Final = "select to_regclass('restore_unfinished') is not null"
END_RESTORE: Final = "drop table if exists restore_unfinished"

END_TOKENS_OF_KIND: Final = "with ended as (delete from tokens where kind = $1 returning 1) select count(*) from ended"

KEYS_IN_FORCE: Final = """
select t.id, coalesce(u.username, u.name), t.label, t.scopes, count(*) over ()
from tokens t join users u on u.id = t.user_id
where t.kind = 'key' and (t.expires_at is null or t.expires_at > now()) and u.disabled_at is null
order by 2, t.created_at, t.id limit $1
"""

END_OLD_SESSION: Final = """
select pg_terminate_backend(a.pid) from pg_stat_activity a
where a.pid = $1 and a.application_name = $2 and a.datname = current_database()
"""

TERM: Final = "select term from server"
WRITE_TERM: Final = "update server set term = term where term = $1 returning term"
NEXT_TERM: Final = "update server set term = term + 1, holder = $1, started_at = now() returning term"

_RECORD: Final = """
select id, title, visibility, owner, epoch, head, (extract(epoch from created_at) * 1000)::bigint, archived, kind,
    slow_s"""

_MEMBERS: Final = """(
    select json_agg(json_build_object(
        'user', json_build_object('id', user_id, 'name', name, 'kind', m.kind), 'role', role, 'banned', banned,
        'joined_at_ms', coalesce((extract(epoch from joined_at) * 1000)::bigint, 0),
        'muted_until_ms', coalesce((extract(epoch from muted_until) * 1000)::bigint, 0)))::text
    from members m where m.conversation = c.id
)"""

LOAD: Final = f"{_RECORD}, {_MEMBERS} from conversations c where id = $1"

_LIST: Final = """
{record} from conversations c
where id > $2 and ($1::text is null or visibility = 'public' or exists (
    select from members m where m.user_id = $1 and m.conversation = c.id and m.joined_at is not null
)) and not exists (
    select from hidden h where h.user_id = $1 and h.conversation = c.id and h."offset" >= c.head
)
order by id limit $3
"""
LIST: Final = _LIST.format(record=_RECORD)

CREATE: Final = """
with made as (
    insert into conversations (id, title, visibility, owner, epoch, created_at, kind, slow_s, request_id)
    select $2, $3, $4, $5, $6, to_timestamp($7::bigint / 1000.0), $8, $9, $11 where (select term from server) = $1
    on conflict (id) do nothing returning id
), joined as (
    insert into members (conversation, user_id, name, kind, role, joined_at)
    select made.id, m->'user'->>'id', m->'user'->>'name', m->'user'->>'kind', m->>'role',
        to_timestamp((m->>'joined_at_ms')::bigint / 1000.0)
    from made, json_array_elements($10::json) as m
)
select id from made
"""

HIDE: Final = """
insert into hidden (user_id, conversation, "offset") values ($2, $1, $3)
on conflict (user_id, conversation) do update set "offset" = excluded."offset"
"""

_PAGE: Final = """
select type, "offset", id::text, actor, (extract(epoch from at) * 1000)::bigint, body from (
    select *, sum(octet_length(body::text)) over (order by "offset" {order}) as size,
        row_number() over (order by "offset" {order}) as place
    from (select * from events where {where} order by "offset" {order} limit ${limit}) page
) sized where size <= ${size} or place = 1 order by "offset"
"""

EVENTS: Final = _PAGE.format(order="asc", where='conversation = $1 and "offset" > $2', limit=3, size=4)
LATEST: Final = _PAGE.format(order="desc", where='conversation = $1 and "offset" < $2', limit=3, size=4)

_MESSAGES: Final = """
select "offset", id::text, author, text, (extract(epoch from created_at) * 1000)::bigint, reply_to, meta, revision from (
    select *, sum(weight) over (order by "offset" {order}) - weight as weight_before from (
        select *, octet_length(text) + coalesce(octet_length(meta::text), 0) as weight
        from messages where {where} order by "offset" {order} limit ${limit}
    ) page
) weighed where weight_before < ${size} order by "offset"
"""

MESSAGES_AFTER: Final = _MESSAGES.format(
    order="asc", where='conversation = $1 and "offset" > $2 and "offset" < $3', limit=4, size=5
)
MESSAGES_BEFORE: Final = _MESSAGES.format(order="desc", where='conversation = $1 and "offset" < $2', limit=3, size=4)
MESSAGE_OFFSET: Final = 'select "offset" from messages where id = $2 and conversation = $1'

FIND_KEY: Final = """
select k."offset", k.id::text, (extract(epoch from k.at) * 1000)::bigint, k.digest, e.actor
from keys k join events e on e.conversation = k.conversation and e."offset" = k."offset"
where k.conversation = $1 and k.author = $2 and k.key = $3
"""
