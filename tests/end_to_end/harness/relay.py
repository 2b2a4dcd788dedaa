"""A TCP relay in a process of its own, between Mosaic and a node: suspended, it is a cable that was cut. Connections stay
open and silent, new ones get no answer, and nobody is told.

    python3 relay.py LISTEN_PORT TARGET_PORT
"""

import selectors
import socket
import sys

_CHUNK = 1 << 16


def _pair(selector, client, target_port):
    try:
        server = socket.create_connection(("127.0.0.1", target_port))
    except OSError:
        client.close()
        return
    for one, other in ((client, server), (server, client)):
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(one, selectors.EVENT_READ, other)


def _pass_on(selector, source, sink):
    try:
        chunk = source.recv(_CHUNK)
        if chunk:
            sink.sendall(chunk)
            return
    except OSError:
        pass
    for end in (source, sink):
        try:
            selector.unregister(end)
        except KeyError:
            pass
        end.close()


def main(listen_port, target_port):
    listener = socket.create_server(("127.0.0.1", listen_port), backlog=1)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ, None)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                _pair(selector, listener.accept()[0], target_port)
            elif key.fileobj.fileno() >= 0:
                _pass_on(selector, key.fileobj, key.data)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
