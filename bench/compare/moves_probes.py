"""Clients that write to one shard all the time, by every protocol and through every proxy: what a pause looks like to them,
and what has become of each write that was acknowledged."""

import time

from harness.move_checker import CheckedClient, MoveChecker

_ACTIONS = (CheckedClient._append, CheckedClient._append_unnamed, CheckedClient._append_prepared)
PROTOCOLS = len(_ACTIONS)


class Probe(CheckedClient):
    """One protocol, one proxy; its turns lie on a grid, between those of the others. One that is late leaves turns out."""

    def __init__(self, checker, number, user, ports, pause_s):
        super().__init__(checker, number, user, [ports[number // PROTOCOLS % len(ports)]], pause_s)
        self.period_s = pause_s * PROTOCOLS * len(ports)

    def actions(self):
        return [_ACTIONS[self.number % PROTOCOLS].__get__(self), self._count]

    def rest(self):
        offset_s = self.number * self.pause_s
        now_s = time.monotonic()
        turn = (now_s - offset_s) // self.period_s + 1
        time.sleep(turn * self.period_s + offset_s - now_s)


class Probes(MoveChecker):
    """`with Probes(...)`, one write each `pause_s` in all."""

    def __init__(self, cluster, shard, pause_s):
        users = cluster.new_users(shard, PROTOCOLS * len(cluster.ports))
        super().__init__(cluster, users, cluster.ports, pause_s=pause_s, client=Probe)

    def turns(self, begin_s, end_s):
        """(began, acknowledged) of the writes that were acknowledged between two times of the monotonic clock."""
        return sorted(((began, ended) for client in self.clients for began, ended, _ in tuple(client.turns)
                       if begin_s <= ended <= end_s), key=lambda turn: turn[1])

    def writes(self):
        return sum(len(client.turns) for client in self.clients)
