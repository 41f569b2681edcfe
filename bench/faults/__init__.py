"""The fault harness: a real server, real Postgres and real sockets, one fault after another, and an audit of each round.

Files in reading order: `kinds` (what can be done to a server), `plan` (which round does what, from a seed), `ledger` and
`outcome` (what is noted and how it is judged; pure), `protocol` (bytes, pure), `client`, `writers`, `readers`, `crowd`
(the load), `proxy`, `server`, `processes`, `tables`, `stage` (the place), `blows_*` and `blows` (the faults themselves),
`rounds`, `campaign`, `report`, `cli`.
"""
