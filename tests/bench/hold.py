# SPDX-License-Identifier: MIT
"""hold.py N TARGET NETWORK-NAMESPACE...: N connections, a request on each; prints "held N", how many could be made, when all
that will be answered is, and keeps them until SIGTERM."""
import resource
import selectors
import signal
import socket
import sys
import time

import client

n, target, namespaces = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
resource.setrlimit(resource.RLIMIT_NOFILE, (n + 100, n + 100))
sockets = []
for i, namespace in enumerate(namespaces):
    client.enter(namespace)
    for _ in range(n // len(namespaces) + (i < n % len(namespaces))):
        s = socket.socket()
        s.settimeout(2)
        try:
            s.connect(client.IMDS)
            s.sendall(client.request(target))
        except OSError:
            s.close()  # nobody accepts any more, and the queue is full
            break
        s.setblocking(False)
        sockets.append(s)
answered = set()
selector = selectors.DefaultSelector()
for s in sockets:
    selector.register(s, selectors.EVENT_READ)
end = time.monotonic() + 5
while len(answered) < len(sockets) and time.monotonic() < end:
    ready = selector.select(0.5)
    if not ready:
        break
    for key, _ in ready:
        try:
            if key.fileobj.recv(65536):
                answered.add(key.fileobj)
        except OSError:
            pass
        selector.unregister(key.fileobj)
print(f"held {len(sockets)} answered {len(answered)}", flush=True)
signal.sigwait({signal.SIGTERM})
