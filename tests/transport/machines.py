"""Machines for tests of the connection table: they answer, or do not, and note what they are told."""


class Echo:
    """Sends back what it gets; notes what it is told."""

    def __init__(self, conn):
        self.conn, self.received_bytes, self.told = conn, 0, []

    def received(self, data):
        self.received_bytes += len(data)
        self.conn.write(data)

    def again(self):
        self.told.append("again")

    def writable(self):
        self.told.append("writable")

    def timeout(self):
        self.told.append("timeout")

    def stalled(self):
        self.told.append("stalled")

    def eof(self):
        self.told.append("eof")
        self.conn.close()

    def closed(self):
        self.told.append("closed")


class Swallow(Echo):
    """Counts and answers nothing."""

    def received(self, data):
        self.received_bytes += len(data)
