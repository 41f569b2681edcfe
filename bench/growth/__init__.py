"""How costs grow: readers, connections, rooms, members, history and passivated rooms, each over three orders of magnitude.

law             the slope of a cost, and its verdict (pure)
dimension       what is varied, and the cost curves that come of it
meter           CPU of a server and of its Postgres, in nanoseconds
client          WebSocket connections and posts, as few instructions as can be
rest            rooms and tokens over HTTP
served          readers, connections, rooms and history on a real server
inside          members and passivated rooms in an engine of this process, where sockets would only add noise
report, cli     table, JSON, `hubbub bench growth`
"""
