#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a pod does when it starts: PROCESSES processes, each with CONNECTIONS connections of keep-alive, ask
for RESOURCES resources and, as SDKs do, come back when they are told to. Prints the seconds until it had
all, and how often it got which answer.

  flood.py start START PROCESSES CONNECTIONS RESOURCES   START is a moment, in epoch seconds
  flood.py greedy START SECONDS CONNECTIONS              makes up resources, and bypasses the cache, all the time
"""
import asyncio
import collections
import json
import os
import sys
import time

TOKEN = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource="
seen = collections.Counter()


class Connection:
    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection("169.254.169.254", 80)
        return self

    async def __aexit__(self, *_):
        self.writer.close()

    async def ask(self, resource):
        """(status, seconds to wait before coming back, body)"""
        self.writer.write(f"GET {TOKEN}{resource} HTTP/1.1\r\nHost: x\r\nMetadata: true\r\n\r\n".encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        fields = {k.lower(): v.strip() for k, _, v in
                  (line.partition(":") for line in head.split("\r\n")[1:])}
        body = await self.reader.readexactly(int(fields["content-length"]))
        return int(head.split(" ", 2)[1]), float(fields.get("retry-after", 0)), body


def note(status, body):
    code = "" if status == 200 else " " + json.loads(body)["reason"]
    seen[f"{status}{code}"] += 1
    if status != 200 and "NMI_REFUSALS" in os.environ:  # of tests/sandbox/cluster.sh
        with open(os.environ["NMI_REFUSALS"], "ab") as f:
            f.write(body + b"\n")


async def take(queue):
    async with Connection() as c:
        while queue:
            resource = queue.pop()
            while True:
                status, wait, body = await c.ask(resource)
                note(status, body)
                if status == 200:
                    break
                if not wait:
                    raise SystemExit(f"{resource}: {status} {body!r}")
                await asyncio.sleep(wait)


async def start(at, processes, connections, resources):
    queues = [[f"https://r{(i + p) % resources}.example.com" for i in range(resources)] for p in range(processes)]
    await asyncio.sleep(max(0, at - time.time()))
    await asyncio.gather(*(take(q) for q in queues for _ in range(connections)))


async def invent(until, number):
    n = 0
    while time.time() < until:
        try:
            async with Connection() as c:
                while time.time() < until:
                    n += 1
                    what = f"https://made-up-{number}-{n}.invalid" if n % 2 else "https://r0.example.com&bypass_cache=true"
                    note(*(await asyncio.wait_for(c.ask(what), max(0.1, until - time.time())))[::2])
        except asyncio.TimeoutError:
            return
        except (OSError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.1)


async def greedy(at, seconds, connections):
    await asyncio.sleep(max(0, at - time.time()))
    await asyncio.gather(*(invent(at + seconds, i) for i in range(connections)))


what, at, *rest = sys.argv[1:]
asyncio.run({"start": start, "greedy": greedy}[what](float(at), *map(int, rest)))
print("seconds", round(time.time() - float(at), 2))
for k in sorted(seen):
    print("got", k.replace(" ", "/"), seen[k])
