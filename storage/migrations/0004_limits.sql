-- Rates that admins have set. What is not here is as configured.

create table limit_profiles (
    name       text collate "C" primary key,
    rate       integer not null check (rate > 0),
    period_s   integer not null check (period_s > 0),
    burst      integer not null check (burst > 0),
    is_on      boolean not null,
    changed_at timestamptz(3) not null default now()
);
