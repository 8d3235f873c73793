# SPDX-License-Identifier: MIT
"""Breaks each promise of schedule.py once, behind its back, for planted.sh."""
import asyncio, os, signal, time

import jose
from faults import AGENT, run
from left import BYTES_IN_ALL, Left


class Unsaid:
    """A fault of IMDS that nobody is told of, or told wrongly."""
    affects, name, alone = ("imds",), "planted", False


async def wrong_token(s):
    await s.cluster("binding", "shop", "shop", "billing", "shop")
    await asyncio.sleep(2)
    await s.cluster("binding", "shop", "shop", "shop", "shop")
    await asyncio.sleep(1)
    keys, s.keys, s.verified = s.keys, [jose.new_key().public_key()], set()
    await asyncio.sleep(1)
    s.keys = keys


async def not_served(s):
    await s.cluster("imds-ctl", "fault", "area=token", "status=400")
    await asyncio.sleep(4)
    await s.cluster("imds-ctl", "clear")
    await asyncio.sleep(6)


async def late(s, window):
    """It is said to be over long before it is."""
    await s.cluster("imds-ctl", "fault", "area=token", "kind=hang")
    w = window(Unsaid())
    s.windows.append(w)
    await asyncio.sleep(1)
    asked = asyncio.create_task(s.ask(s.pods["web"], "late.example.com", {"imds"}))
    await asyncio.sleep(0.2)
    w.end = time.monotonic()
    probe = asyncio.create_task(s.serve_again(w))
    await asyncio.sleep(9)
    await s.cluster("imds-ctl", "clear")
    await asyncio.gather(asked, probe)


async def crash(s):
    os.kill(s.ground.agent, signal.SIGKILL)
    await asyncio.sleep(4)


async def open_path(s):
    agent, s.ground.agent = s.ground.agent, None
    os.kill(agent, signal.SIGKILL)
    await asyncio.sleep(0.5)
    run("nsenter", f"--net=/run/netns/nmi-{s.box}-node", "--", "nft", "flush", "ruleset")
    await asyncio.sleep(2)
    await s.ground.launch("nmi")
    s.ground.adopt()
    await asyncio.sleep(3)


async def plant(s, window):
    async def all_of_it():
        for what in (wrong_token(s), not_served(s), late(s, window), crash(s), open_path(s)):
            s.n["faults"] += 1
            await what
    await s.while_asked(all_of_it())
    # an agent that leaks, see planted.sh
    left = Left({name: pid for name, (pid, _) in s.ground.look().items() if name in AGENT})
    for _ in range(9):
        left.begin()
        await s.ask_plainly(120, "leak")
    left.begin()
    await s.rest()
    s.compare(left, 0)
    # and one that leaves much, but seldom
    for got in left.found({"bytes": {"another": [0] * 9 + [BYTES_IN_ALL + 1]}}):
        s.is_wrong("a leak", *got)
