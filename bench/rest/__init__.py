"""The REST load of the bench: posts and cached reads over keep-alive connections, all of it accounted for.

In reading order: `scenario` (the shapes and budgets), `wire` (HTTP/1.1, bytes in and out), `ledger` and `pages` (what must
hold), `audit` (reading the rooms back), `control`, `link` and `load` (the generator process), `process`, `run`, `cli`.
"""
