"""The list of what behaves unlike one PostgreSQL, each with its reason: README says the same to users. Tests that compare
frame by frame leave out these and nothing else."""

import re
from typing import NamedTuple


class KnownDifference(NamedTuple):
    statement: str  # a regular expression that the spoken messages contain
    reason: str


KNOWN = [
    KnownDifference(r"pg_backend_pid\(\)", "BackendKeyData names Mosaic's client, pg_backend_pid() the server's process: a client has "
                    "many servers in its life, and what it cancels is the client."),
    KnownDifference(r"\bpg_prepared_statements\b", "A server keeps statements for many clients under names of Mosaic's own."),
    KnownDifference(r"\bpg_stat_activity\b", "Shows the node's sessions, which are Mosaic's."),
    KnownDifference(r"\bpg_notify\b.*\bFROM (media|samples)\b|\bNOTIFY\b.*cross-node",
                    "A notification is heard on the node on which it is sent."),
]


def is_known(spoken, direct, subject):
    """Whether the two replies may differ: they must be of the same frames even so."""
    if not any(re.search(known.statement, spoken, re.IGNORECASE) for known in KNOWN):
        return False
    return [part[0] for part in direct] == [part[0] for part in subject]
