-- Who changed what of the server, and who tried to. Rows are only ever added, and pruned by age and number.
-- The id is a UUIDv7: it says the time, orders the pages, and keeps inserts at the end of the index.

create table audit (
    id         uuid primary key,
    actor      text collate "C" not null, -- '' where nobody was recognised
    action     text collate "C" not null,
    target     text not null,
    status     integer not null,
    code       text not null,
    address    text not null,
    request_id text not null,
    at         timestamptz(3) not null
);
create index audit_by_actor on audit (actor, id);
