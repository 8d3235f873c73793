# SPDX-License-Identifier: MIT
"""first.py SECONDS: asks for a token until it is given, as often as it can; prints the moment of that, in seconds since
1970, and how many times it was refused before. "asking" comes first."""
import sys
import time

import client

TARGET = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://management.azure.com/"
end = time.time() + float(sys.argv[1])
print("asking", flush=True)
refused = 0
while time.time() < end:
    try:
        connection = client.Connection(timeout=5)
        if connection.ask(TARGET) == 200:
            print(f"{time.time():.6f} {refused}")
            sys.exit()
    except OSError:
        pass
    refused += 1
    time.sleep(0.0005)
sys.exit("no token in time")
