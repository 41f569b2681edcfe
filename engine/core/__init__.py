"""The rules of hubbub without any I/O: synchronous, single-owner, with `now` and fresh ids passed in.

Nothing here imports trio, reads a clock, draws random numbers, logs, or touches the environment (import-linter holds that).
"""
