"""The configuration of the program: one tree of all settings, read from all sources, checked as a whole, reloaded while it runs.

Files in reading order: `tree` (what there is), `schema` (how it is found), `values` (types), `sources`, `loader`, `reloader`,
`watcher`, `startup`, `command`. The parts know nothing of it: each is given its own frozen settings.
"""
