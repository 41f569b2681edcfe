-- Who somebody is at an OpenID Connect provider, and which account that opens.

create table identities (
    id         text collate "C" primary key,
    issuer     text collate "C" not null check (length(issuer) <= 255),
    subject    text collate "C" not null check (length(subject) <= 255),
    user_id    text collate "C" not null references users on delete cascade,
    created_at timestamptz(3) not null,
    unique (issuer, subject)
);
create index identities_by_user on identities (user_id, created_at);
