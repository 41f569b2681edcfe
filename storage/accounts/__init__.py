"""Stores of accounts: on Postgres (`postgres`, its statements in `sql`) and in memory (`memory`)."""
