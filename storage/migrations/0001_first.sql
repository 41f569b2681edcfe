-- The log is the truth; messages and keys are kept beside it in the same transaction, for look-ups.
-- No foreign keys: one writer numbers and inserts, and looks every conversation up before it does.

create table server (
    one        boolean primary key default true check (one),
    term       bigint not null,
    holder     text not null,
    started_at timestamptz(3) not null default now()
);
insert into server (term, holder) values (0, '');

create table conversations (
    id         text collate "C" primary key,
    title      text not null,
    visibility text not null check (visibility in ('public', 'private')),
    owner      text not null,
    epoch      text not null,
    head       bigint not null default 0,
    archived   boolean not null default false,
    created_at timestamptz(3) not null
) with (fillfactor = 80); -- room for updates of head in place

create table events (
    conversation text collate "C" not null,
    "offset"     bigint not null,
    type         text collate "C" not null,
    id           uuid not null,
    actor        json not null,
    at           timestamptz(3) not null,
    body         json not null, -- json, not jsonb: it must come back byte for byte
    primary key (conversation, "offset")
);

create table messages (
    id           uuid primary key,
    conversation text collate "C" not null,
    "offset"     bigint not null,
    author       json not null,
    text         text not null,
    reply_to     text,
    meta         json,
    created_at   timestamptz(3) not null,
    revision     integer not null default 1
);
create unique index messages_by_offset on messages (conversation, "offset");

-- Never pruned: the same key gives the same ack for ever.
create table keys (
    conversation text collate "C" not null,
    author       text collate "C" not null,
    key          text collate "C" not null,
    digest       bytea not null,
    "offset"     bigint not null,
    id           uuid not null,
    at           timestamptz(3) not null,
    primary key (conversation, author, key)
);

create table tokens (
    digest     bytea primary key,
    author_id  text not null,
    name       text not null,
    kind       text not null,
    created_at timestamptz(3) not null,
    expires_at timestamptz(3) not null
);
