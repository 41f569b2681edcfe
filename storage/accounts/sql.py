"""Every statement about accounts. Each is one step that may be sent twice: a second one finds what the first has done.

Times go in and out as milliseconds since the epoch. A user name that is taken shows as a violation of its unique index, which
undoes the whole statement, the invitation that it would have used up included.
"""
# ruff: noqa: S608, S105  statements are put together from the constants of this file; what comes from outside is a parameter

from __future__ import annotations

from typing import Final


def at(parameter: int) -> str:
    """A time that is a parameter in milliseconds."""
    return f"to_timestamp(${parameter}::bigint / 1000.0)"


def ms(column: str) -> str:
    """A time in milliseconds."""
    return f"(extract(epoch from {column}) * 1000)::bigint"


def user_columns(alias: str) -> str:
    """The columns of a user, `USER_COLUMNS` of them."""
    times = ", ".join(ms(f"{alias}.{name}") for name in ("created_at", "disabled_at", "deleted_at"))
    return f"{alias}.id, {alias}.username, {alias}.name, {alias}.role, {alias}.password, {times}"


def _token(alias: str) -> str:
    times = ", ".join(ms(f"{alias}.{name}") for name in ("former_until", "created_at", "last_used_at", "expires_at"))
    return f"{alias}.id, {alias}.user_id, {alias}.kind, {alias}.digest, {alias}.former, {alias}.label, {alias}.scopes, {times}"


USER_COLUMNS: Final = 8

_ADMINS: Final = "select 1 from users where role = 'admin' and disabled_at is null and deleted_at is null"

HAS_ADMIN: Final = f"select exists({_ADMINS})"

_NEW_USER: Final = f"""
insert into users (id, username, name, role, password, created_at)
select $1::text, $2::text, $3::text, $4::text, $5::text, {at(6)}
"""

ADD_USER: Final = f"{_NEW_USER} on conflict (id) do nothing"

_USED: Final = f"""
update invitations set used_by = $1::text
where digest = $7 and (used_by is null and expires_at > {at(8)} or used_by = $1::text) returning 1
"""

ADD_INVITED_USER: Final = f"""
with used as ({_USED}), made as ({_NEW_USER} where exists (select 1 from used) on conflict (id) do nothing)
select count(*) from used
"""

ADD_FIRST_ADMIN: Final = f"""
with made as ({_NEW_USER} where not exists ({_ADMINS}) on conflict (id) do nothing returning 1)
select exists(select 1 from made) or exists(select 1 from users where id = $1)
"""

_INSERT_TOKEN: Final = """
insert into tokens (id, user_id, kind, digest, former_until, label, scopes, created_at, last_used_at, expires_at)
"""


def _token_values(first: int) -> str:
    """The values of a token whose parameters begin at `first`; nothing was rotated out of a new one."""
    return (
        f"${first}::text, ${first + 1}::text, ${first + 2}::text, ${first + 3}::bytea, {at(first + 6)}, "
        f"${first + 4}::text, ${first + 5}::text[], {at(first + 6)}, {at(first + 7)}, {at(first + 8)}"
    )


ADD_GUEST: Final = f"""
with made as ({_NEW_USER} on conflict (id) do nothing)
{_INSERT_TOKEN} values ({_token_values(7)}) on conflict (id) do nothing
"""

_UPGRADE: Final = """
update users set username = $2, name = $3, role = $4, password = $5
where id = $1 and disabled_at is null and deleted_at is null and (role = 'guest' or username = $2 and password = $5)
"""

UPGRADE: Final = f"{_UPGRADE} returning 1, 1"

UPGRADE_INVITED: Final = f"""
with used as ({_USED.replace("$7", "$6").replace("$8", "$7")}), made as ({_UPGRADE} and exists (select 1 from used) returning 1)
select count(*), (select count(*) from made) from used
"""

FIND_USER: Final = f"select {user_columns('u')} from users u where u.id = $1"
FIND_USERNAME: Final = f"select {user_columns('u')} from users u where u.username = $1"

NAMES: Final = "select id, username, name from users where id = any($1::text[]) and deleted_at is null"

LIST_USERS: Final = f"""
select {user_columns("u")} from users u
where u.id > $1 and u.deleted_at is null and ($3 or u.role <> 'guest')
    and ($4::text is null or strpos(lower(u.name), lower($4)) > 0 or strpos(u.username, lower($4)) > 0)
order by u.id limit $2
"""

_OTHER_ADMIN: Final = f"exists ({_ADMINS} and id <> $1)"

CHANGE_USER: Final = f"""
update users u set name = coalesce($2, u.name), role = coalesce($3, u.role), password = coalesce($4, u.password),
    disabled_at = case $5::boolean when true then coalesce(u.disabled_at, {at(6)}) when false then null else u.disabled_at end
where u.id = $1 and u.deleted_at is null and (
    not (coalesce($5::boolean, false) or coalesce($3, 'admin') <> 'admin')
    or u.role <> 'admin' or u.disabled_at is not null or {_OTHER_ADMIN}
)
returning {user_columns("u")}
"""

DELETE_USER: Final = f"""
with gone as (
    update users set username = null, name = $2, role = 'guest', password = null, deleted_at = coalesce(deleted_at, {at(3)})
    where id = $1 and (role <> 'admin' or disabled_at is not null or {_OTHER_ADMIN})
    returning id
), ended as (delete from tokens where user_id in (select id from gone)),
    unlinked as (delete from identities where user_id in (select id from gone)),
    unblocked as (delete from blocks where blocker in (select id from gone)),
    unnamed as (update blocks set name = $2 where user_id in (select id from gone)),
    shown as (delete from hidden where user_id in (select id from gone))
select count(*) from gone
"""

ADD_TOKEN: Final = f"""
with made as (
    {_INSERT_TOKEN} select {_token_values(1)}
    where exists (select 1 from users where id = $2 and disabled_at is null and deleted_at is null)
    on conflict (id) do nothing returning 1
)
select 1 where exists (select 1 from made) or exists (select 1 from tokens where id = $1)
"""

FIND_TOKEN: Final = f"""
select {user_columns("u")}, {_token("t")}
from (select * from tokens where digest = $1 union all select * from tokens where former = $1) t
join users u on u.id = t.user_id
"""

LIST_TOKENS: Final = f"""
select {_token("t")} from tokens t where t.user_id = $1 and t.kind = $2 order by t.created_at desc, t.id desc
"""

END_TOKENS: Final = """
delete from tokens where user_id = $1 and ($2::text is null or kind = $2) and ($3::text is null or id = $3)
    and ($4::text is null or id <> $4)
returning id
"""

EVICT_TOKENS: Final = """
delete from tokens where id in (
    select id from tokens where user_id = $1 and kind = $2 order by id = $4 desc, created_at desc, id desc offset $3
) returning id
"""

ROTATE_TOKEN: Final = f"""
update tokens t set digest = $3, last_used_at = case when t.kind = 'session' then {at(5)} else t.last_used_at end,
    former = case when t.digest = $3 then t.former else t.digest end,
    former_until = case when t.digest = $3 then t.former_until else {at(6)} end, expires_at = {at(7)}
where t.user_id = $1 and t.id = $2 and ($4::bytea is null or t.digest = $4 or t.digest = $3)
returning {_token("t")}
"""

TOUCH_TOKENS: Final = f"""
update tokens set last_used_at = greatest(last_used_at, {at(2)}) where id = any($1::text[]) returning id
"""

PRUNE_TOKENS: Final = f"""
delete from tokens where id = any(array(select id from tokens where expires_at < {at(1)} limit $2)) returning 1
"""

PRUNE_GUESTS: Final = f"""
with gone as (
    delete from users where id = any(array(
        select id from users u where role = 'guest' and deleted_at is null and created_at < {at(1)}
            and not exists (select 1 from tokens where user_id = u.id) limit $2
    )) returning id
), unblocked as (delete from blocks where blocker in (select id from gone)),
    shown as (delete from hidden where user_id in (select id from gone))
select count(*) from gone
"""

_INVITATION: Final = f"""
id, digest, role, label, created_by, {ms("created_at")}, {ms("expires_at")}, used_by
"""

ADD_INVITATION: Final = f"""
insert into invitations (id, digest, role, label, created_by, created_at, expires_at)
values ($1, $2, $3, $4, $5, {at(6)}, {at(7)}) on conflict (id) do nothing
"""

FIND_INVITATION: Final = f"select {_INVITATION} from invitations where digest = $1"
LIST_INVITATIONS: Final = f"select {_INVITATION} from invitations order by created_at desc, id desc limit $1"

END_INVITATION: Final = "delete from invitations where id = $1 and used_by is null returning 1"
