-- By which request something came about: the name that stands in the logs (docs/operations.md). Null: by none, or before this.
-- No index, because every post would pay for it; no default and no check, because either would read the whole table once.

alter table events add column request_id text;
alter table conversations add column request_id text; -- its making; what changed it since then are events
