#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""hold.py N: so many connections to the metadata address, with half a request on each, until SIGTERM. Prints how many there are."""
import socket, sys, time

held = []
for _ in range(int(sys.argv[1])):
    try:
        s = socket.create_connection(("169.254.169.254", 80), timeout=5)
        s.sendall(b"GET /metadata/identity/oauth2/token?resource=" + b"x" * 900)
    except OSError as e:
        print(f"after {len(held)}: {e}", flush=True)
        break
    held.append(s)
print(len(held), flush=True)
time.sleep(60)
