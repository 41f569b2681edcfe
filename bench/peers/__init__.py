"""Other people's ways to send a room's messages, on this machine, under the same generator. None of them stores anything.

Each peer is a small server program: it holds rooms, gives a post the room's next offset, sends it to every member as
the same bytes and answers who posted. `catalogue.py` says which there are and how they are set up; `launch.py` starts
one; `rounds.py` measures hubbub and the peers in turn; `table.py` shows what came out.
"""
