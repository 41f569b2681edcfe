"""Hostile clients against a real server, and what healthy clients notice of them.

`attacks` lists them with their bounds and documented outcomes; `slow`, `floods`, `frames` and `rude` are what one hostile
connection does; `arena` is the attacking process (`attacker` its program, `crowd` its parent's side); `run` plays one attack
before healthy clients, `judge` says what broke, `report` prints, `cli` is the command.
"""
