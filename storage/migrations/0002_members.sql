-- Roles, mutes and bans, kept beside the log in the same transaction. A row that is no membership has joined_at null.

create table members (
    conversation text collate "C" not null,
    user_id      text collate "C" not null,
    name         text not null,
    kind         text not null,
    role         text not null check (role in ('owner', 'moderator', 'member', 'viewer')),
    joined_at    timestamptz(3),
    muted_until  timestamptz(3),
    banned       boolean not null default false,
    primary key (conversation, user_id)
);
create index members_by_user on members (user_id, conversation) where joined_at is not null;

alter table conversations
    add column kind text not null default 'room' check (kind in ('room', 'direct', 'announcement')),
    add column slow_s integer not null default 0;

-- Until now a conversation had one owner and no other members.
insert into members (conversation, user_id, name, kind, role, joined_at)
select c.id, c.owner, coalesce(t.name, c.owner), coalesce(t.kind, 'user'), 'owner', c.created_at
from conversations c
left join lateral (select name, kind from tokens where author_id = c.owner order by created_at desc limit 1) t on true;
