-- Who wants nothing more from whom. Neither needs an account: ids may be those of an embedding program.

create table blocks (
    blocker    text collate "C" not null,
    user_id    text collate "C" not null,
    name       text not null,
    kind       text not null,
    created_at timestamptz(3) not null,
    primary key (blocker, user_id)
);
