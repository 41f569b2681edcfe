"""Load and measurement: scenarios with invariants, run against the real server from processes of their own.

`cli.bench` is the command group. Reading order: `scenarios`, `run`, `control`, `load`, `links`, `stream`, `invariants`.
"""
