-- Invites into conversations. The token is never stored, only its SHA-256 digest.

create table invites (
    digest       bytea primary key check (octet_length(digest) = 32),
    id           uuid not null unique,
    conversation text collate "C" not null,
    role         text not null check (role in ('moderator', 'member', 'viewer')),
    made_by      json not null,
    made_as      text check (made_as in ('owner', 'moderator')), -- null: by an admin, or by the embedding program
    bound_to     text,
    created_at   timestamptz(3) not null,
    expires_at   timestamptz(3) not null,
    accepted_by  text,
    accepted_at  timestamptz(3),
    joined       boolean not null default false, -- false beside accepted_by: claimed, and the membership is not certain
    revoked_at   timestamptz(3)
);
create index invites_by_conversation on invites (conversation, id);
create index invites_by_end on invites (expires_at);
