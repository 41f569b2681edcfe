-- Users and what stands for them. A secret is never in here: tokens are SHA-256 digests, passwords argon2id hashes.
-- Guests of before come along: each becomes a user, and its token a session that ends when it did.

create table users (
    id          text collate "C" primary key,
    username    text collate "C" unique,
    name        text not null,
    role        text not null check (role in ('admin', 'member', 'guest')),
    password    text check (password like '$argon2id$%'),
    created_at  timestamptz(3) not null,
    disabled_at timestamptz(3),
    deleted_at  timestamptz(3)
);
create index users_admins on users (id) where role = 'admin';

insert into users (id, name, role, created_at)
select distinct on (author_id) author_id, name, 'guest', created_at from tokens order by author_id, created_at;

alter table tokens rename to tokens_of_before;
alter table tokens_of_before rename constraint tokens_pkey to tokens_of_before_pkey;

create table tokens (
    id           text collate "C" primary key,
    user_id      text collate "C" not null references users on delete cascade,
    kind         text not null check (kind in ('session', 'key')),
    digest       bytea not null unique check (octet_length(digest) = 32),
    former       bytea unique,
    former_until timestamptz(3) not null,
    label        text not null,
    scopes       text[] not null,
    created_at   timestamptz(3) not null,
    last_used_at timestamptz(3) not null,
    expires_at   timestamptz(3)
) with (fillfactor = 80); -- room for updates of last_used_at in place
create index tokens_by_user on tokens (user_id, kind, created_at);
create index tokens_by_end on tokens (expires_at) where expires_at is not null;

insert into tokens (id, user_id, kind, digest, former_until, label, scopes, created_at, last_used_at, expires_at)
select gen_random_uuid()::text, author_id, 'session', digest, created_at, '',
    array['read', 'write', 'manage', 'account', 'admin'], created_at, created_at, expires_at
from tokens_of_before;

drop table tokens_of_before;

create table invitations (
    id         text collate "C" primary key,
    digest     bytea not null unique check (octet_length(digest) = 32),
    role       text not null check (role in ('admin', 'member')),
    label      text not null,
    created_by text not null,
    created_at timestamptz(3) not null,
    expires_at timestamptz(3) not null,
    used_by    text
);
