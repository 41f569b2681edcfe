-- Who wants nothing more from whom. Neither needs an account: ids may be those of an embedding program.

create table blocks (
    blocker    text collate "C" not null,
    user_id    text collate "C" not null,
    name       text not null,
    kind       text not null,
    created_at timestamptz(3) not null,
    primary key (blocker, user_id)
);
create index blocks_by_user on blocks (user_id);

-- Direct conversations that somebody does not want to see in the list until they go on: while the head is no further than this.
create table hidden (
    user_id      text collate "C" not null,
    conversation text collate "C" not null,
    "offset"     bigint not null,
    primary key (user_id, conversation)
);
