"""`hubbub doctor`: whether this machine and this database are fit for a server.

Files in reading order: `finding` (what a check says), `machine`, `database` (the checks), `command`.
"""
