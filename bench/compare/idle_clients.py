"""Clients that have logged in, run one statement, and then say nothing."""

from harness.wire_client import WireClient


class IdleClients:
    """Context: `count` of them are connected inside it."""

    def __init__(self, peer, count, statement):
        self.peer, self.count, self.statement = peer, count, statement
        self.clients = []

    def __enter__(self):
        for _ in range(self.count):
            client = WireClient(self.peer.port)
            self.clients.append(client)
            client.login(user=self.peer.user, database=self.peer.database)
            client.query(self.statement)
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.close()
