"""The load generator: one process with thousands of connections, told what to do by the bench (`control.py`)."""
