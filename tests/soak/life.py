#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The life of a node, for the soak test: pods that ask, and all that goes on around them.

	life.py --box NAME --seconds N --rate N --report FILE

The box is raised and laid out by soak.sh. Requests are made at a steady rate, from the pods' namespaces, and
each is expected to be answered in one certain way: a token of the right application that is still good, or
the refusal that is due. Meanwhile, a second apart, one thing after the other happens (`EVENTS`): pods come,
go and inherit addresses, identities change, watches break, upstreams fail, rules are flushed, clients die.
What must not be seen by a pod is not allowed to be: an answer that is not the expected one, or none at all,
is written down with what had just happened. The report is JSON; a line a minute goes to stdout.
"""
import argparse, asyncio, collections, json, pathlib, random, socket, subprocess, sys, time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "sandbox"))
from asking import BILLING, IDS, KUBELET, REFUSED, SHOP, SYSTEM, TOKEN, Asking, Pod

RESOURCES = ("vault.azure.net", "management.azure.com/", "storage.azure.com", "graph.microsoft.com")
GROUP = "apis/aadpodidentity.k8s.io/v1/namespaces/shop"
MERGE = "application/merge-patch+json"
PATIENCE = 30
NEWS = 30  # a change of an object is seen: a watch that failed is tried again after 5 s at most (lib/kube/reflector.c)
CHURNING = 8  # pods that come and go, at a time
IDLE = 20
SPOKEN = "not 200"  # refused in any way, or hung up on

# What no agent serves. (what, bytes)
BAD = [
    ("no header", f"GET {TOKEN}vault.azure.net HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("forwarded", f"GET {TOKEN}vault.azure.net HTTP/1.1\r\nHost: x\r\nMetadata: true\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n"),
    ("no resource", "GET /metadata/identity/oauth2/token?api-version=2018-02-01 HTTP/1.1\r\nHost: x\r\nMetadata: true\r\n\r\n"),
    ("another path", "GET /metadata/identity/getplatformmetadata HTTP/1.1\r\nHost: x\r\nMetadata: true\r\n\r\n"),
    ("dots", f"GET /metadata/%2e%2e{TOKEN}vault.azure.net HTTP/1.1\r\nHost: x\r\nMetadata: true\r\n\r\n"),
    ("a post", "POST /metadata/identity/oauth2/token HTTP/1.1\r\nHost: x\r\nMetadata: true\r\nContent-Length: 3\r\n\r\na=b"),
    ("long", "GET /metadata/identity/oauth2/token?resource=" + "x" * 9000 + " HTTP/1.1\r\nHost: x\r\nMetadata: true\r\n\r\n"),
    ("no protocol", "\x00\x01\x02\x03\r\n\r\n"),
]


def pod_of(name, expects, resources=2):
    return Pod(name, expects, f"nmi-{box}-pod-{name}", RESOURCES[:resources])


class Life(Asking):
    def __init__(self, seed):
        super().__init__(box)
        self.random = random.Random(seed)
        self.pods, self.churn = {}, collections.deque()
        self.n, self.wrong = collections.Counter(), []
        self.kinds = collections.Counter()
        self.event = "the beginning"
        self.serial = 0
        self.slowest = self.slowest_news = 0.0
        self.idle = []

    # ---- one request ----

    def note_wrong(self, pod, what, got, allowed):
        self.n["wrong"] += 1
        if len(self.wrong) < 50:
            self.wrong.append({"at": time.strftime("%H:%M:%S"), "pod": pod.name, "what": what, "got": got,
                               "wanted": sorted(map(str, allowed)), "after": self.event})
            print(f"# wrong: {self.wrong[-1]}", flush=True)

    async def ask(self, pod, target, keep=False, allowed=None, raw=None):
        """One request, whose answer must be what was expected when it was made, or when it came."""
        request = raw.encode("latin-1") if raw else self.request(pod, target)
        want = set(allowed or pod.expects)
        start = time.monotonic()
        pod.busy += 1
        self.n["asked"] += 1
        try:
            got = await asyncio.wait_for(self.asked(pod, request, keep), PATIENCE)
        except asyncio.TimeoutError:
            got = "nothing in time"
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as e:
            got = f"no answer: {type(e).__name__} {e}"
        finally:
            pod.busy -= 1
        if not raw:  # what is no request is waited for until it becomes one
            self.slowest = max(self.slowest, time.monotonic() - start)
        if not allowed:
            want |= pod.expects
        if got in want or (SPOKEN in want and (got == REFUSED or got.startswith("no answer"))):
            self.kinds["hung up" if got.startswith("no answer") else got if got in ("instance", REFUSED) else "token"] += 1
            return True
        self.note_wrong(pod, raw[:60] if raw else target, got, want)
        return False

    def a_request(self):
        """The next one of the mix; a coroutine."""
        dice = self.random.random()
        pods = [p for p in self.pods.values() if not p.gone]
        pod = self.random.choice(pods)
        resource = self.random.choice(pod.resources)
        if dice < 0.62:
            return self.ask(pod, TOKEN + resource, keep=True)
        if dice < 0.82:
            return self.ask(pod, TOKEN + resource)
        if dice < 0.84:  # a pod may do that twice a second
            return self.ask(self.pods["web"], "/metadata/instance?api-version=2021-02-01", allowed={"instance"})
        if dice < 0.91:
            return self.ask(self.pods["web"], f"{TOKEN}{RESOURCES[0]}&client_id={BILLING}", keep=True, allowed={REFUSED})
        if dice < 0.94:
            return self.ask(self.pods["billing"], f"{TOKEN}{RESOURCES[0]}&client_id={BILLING}", keep=True)
        if dice < 0.96:
            return self.ask(self.host, f"/host/token/?resource=https://{RESOURCES[0]}", allowed={SHOP})
        what, raw = self.random.choice(BAD)
        self.kinds[f"bad: {what}"] += 1
        return self.ask(self.random.choice([self.pods["plain"], self.pods["web"]]), what, allowed={SPOKEN}, raw=raw)

    # ---- the cluster ----

    async def change(self, pod, to, *command):
        """Both answers are right until the new one was had: the news may have to wait for a watch to be open again."""
        pod.expects = pod.expects | {to}
        await self.cluster(*command)
        start = time.monotonic()
        request = self.request(pod, TOKEN + pod.resources[0])
        while await self.asked(pod, request, False) != to:
            if time.monotonic() - start > NEWS:
                raise RuntimeError(f"{NEWS} s after the change {pod.name} still gets what it got before")
            await asyncio.sleep(0.1)
        self.slowest_news = max(self.slowest_news, time.monotonic() - start)
        pod.expects = {to}
        await self.fill(pod)

    async def fill(self, *pods):
        """All that they ask for is in the cache afterwards."""
        await asyncio.gather(*(self.ask(p, TOKEN + r) for p in pods for r in p.resources))

    async def is_free(self, ip):
        """The kernel takes the links of a namespace that is gone away a moment later."""
        for _ in range(200):
            p = await asyncio.create_subprocess_exec("ip", "-n", f"nmi-{box}-node", "route", "show", f"{ip}/32", stdout=subprocess.PIPE)
            if not (await p.communicate())[0]:
                return
            await asyncio.sleep(0.05)

    async def add(self, ip, label, client):
        self.serial += 1
        pod = pod_of(f"c{self.serial}", client)
        pod.ip, pod.label = ip, label
        await self.is_free(ip)
        await self.cluster("add-pod", pod.name, "shop", ip, f"app=churn,aadpodidbinding={label}")
        await self.fill(pod)
        self.pods[pod.name] = pod
        self.churn.append(pod)

    async def remove(self):
        pod = self.churn.popleft()
        del self.pods[pod.name]
        pod.gone = True
        while pod.busy:
            await asyncio.sleep(0.05)
        if pod.kept:
            pod.kept[1].close()
        await self.cluster("del-pod", pod.name)
        return pod

    def label(self):
        return self.random.choice([("shop", SHOP), ("billing", BILLING)])

    # ---- what happens ----

    async def pod_comes(self):
        if len(self.churn) >= CHURNING:
            await self.remove()
        await self.add(f"10.244.2.{self.serial % 200 + 10}", *self.label())

    async def pod_goes(self):
        if len(self.churn) > 2:
            await self.remove()

    async def address_is_inherited(self):
        if self.churn:
            old = await self.remove()
            await self.add(old.ip, *(("billing", BILLING) if old.label == "shop" else ("shop", SHOP)))

    async def pod_is_relabelled(self):
        pod = self.churn[-1] if self.churn else None
        if pod:
            label, client = ("billing", BILLING) if pod.label == "shop" else ("shop", SHOP)
            pod.label = label
            await self.change(pod, client, "api", "PATCH", f"api/v1/namespaces/shop/pods/{pod.name}",
                              json.dumps({"metadata": {"labels": {"aadpodidbinding": label}}}), MERGE)

    async def identity_is_edited(self):
        pod = self.pods["flip"]
        client = KUBELET if pod.expects == {SHOP} else SHOP
        name = "kubelet" if client == KUBELET else "shop"
        await self.change(pod, client, "identity", "shop", "flip", client, f"{IDS}/{name}")

    async def binding_comes_or_goes(self):
        pod = self.pods["loose"]
        if pod.expects == {REFUSED}:
            await self.change(pod, BILLING, "binding", "shop", "loose", "billing", "loose")
        else:
            await self.change(pod, REFUSED, "api", "DELETE", f"{GROUP}/azureidentitybindings/loose")

    async def watches_end(self):
        await self.fault("close-watches")

    async def watches_break(self):
        await self.fault("close-watches?abort=1")

    async def versions_are_forgotten(self):  # 410
        await self.fault("compact")
        await self.fault("close-watches")

    async def api_fails(self):
        await self.fault("fail?status=500&count=4")
        await self.fault("close-watches")

    async def api_is_away(self):
        await self.fault("drop")
        await asyncio.sleep(1)
        await self.fault("drop?on=0")

    async def bookmarks(self):
        await self.fault("bookmark")

    async def imds(self, *args):
        await self.cluster("imds-ctl", "fault", "area=token", *args)
        try:
            await asyncio.sleep(3)
        finally:
            await self.cluster("imds-ctl", "clear")

    async def imds_fails(self):
        await self.imds("status=500")

    async def imds_throttles(self):
        await self.imds("status=429", "retry-after=2", "times=4")

    async def imds_hangs_up(self):
        await self.imds("kind=close")

    async def imds_hangs(self):
        """Who asks for something new meanwhile gives up: its process is ended."""
        await self.cluster("imds-ctl", "fault", "area=token", "kind=hang")
        try:
            for i in range(3):
                url = f"http://169.254.169.254{TOKEN}new-{self.n['events']}-{i}.example.com"
                p = await asyncio.create_subprocess_exec(
                    "nsenter", f"--net=/run/netns/{self.pods['web'].netns}", "--", "curl", "-s", "-o", "/dev/null", "-H", "Metadata: true", url,
                    stdin=subprocess.DEVNULL)
                await asyncio.sleep(0.5)
                if p.returncode is None:
                    p.terminate()
                await p.wait()
        finally:
            await self.cluster("imds-ctl", "clear")

    async def entra_fails(self):
        # a third one in a row for one token, with the pauses between, would outlast what is left of it
        await self.cluster("entra-ctl", "behave", "do=status", "code=503", "times=2")

    async def entra_throttles(self):
        await self.cluster("entra-ctl", "behave", "do=throttle", "retry-after=2", "times=2")

    async def rules_are_flushed(self):
        subprocess.run(["nsenter", f"--net=/run/netns/nmi-{box}-node", "--", "nft", "flush", "ruleset"], check=False,
                       stderr=subprocess.DEVNULL)

    async def somebody_looks(self):
        for form in ("text", "json"):
            p = await asyncio.create_subprocess_exec(
                "nsenter", f"--net=/run/netns/nmi-{box}-node", "--", args.nmi, "status",
                f"--run-directory={args.directory}/nmi", f"--output={form}", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            if await p.wait():
                self.note_wrong(self.host, "nmi status", f"exit status {p.returncode}", {"0"})

    async def clients_are_rude(self):
        """Half a request, a request whose answer nobody reads, and nothing at all; some are reset."""
        web = self.pods["web"]
        for text in ("GET /metadata/iden", f"GET {TOKEN}{RESOURCES[0]} HTTP/1.1\r\nHost: x\r\nMetadata: true\r\n\r\n", "", ""):
            s = self.socket_in(web.netns)
            await asyncio.get_running_loop().sock_connect(s, web.address)
            s.send(text.encode())
            if text:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                s.close()
            else:
                self.idle.append(s)
        while len(self.idle) > IDLE:
            self.idle.pop(0).close()

    async def crowd(self):
        await asyncio.gather(*(self.ask(self.pods["web"], TOKEN + RESOURCES[0]) for _ in range(40)))

    async def token_is_bypassed(self):
        await self.ask(self.pods["billing"], f"{TOKEN}{RESOURCES[1]}&bypass_cache=true")

    # ---- all of it ----

    def steady(self):
        for name, expects in (("web", SHOP), ("billing", BILLING), ("plain", REFUSED), ("addon", SYSTEM),
                              ("flip", SHOP), ("loose", REFUSED), ("sp", args.sp), ("cert", args.cert), ("fed", args.fed)):
            self.pods[name] = pod_of(name, expects, 4 if name in ("web", "billing") else 2)
        self.host = Pod("host", SHOP, f"nmi-{box}-node")
        self.host.address = ("127.0.0.1", 2579)
        self.host.headers = "podns: shop\r\npodname: web\r\n"

    async def happen(self, end):
        while True:
            for event in EVENTS:
                if time.monotonic() + 6 > end:
                    return
                self.event = event.__name__.replace("_", " ")
                self.n["events"] += 1
                try:
                    await event(self)
                except (RuntimeError, OSError) as e:
                    self.note_wrong(self.host, f"the test itself: {self.event}", repr(e), {"success"})
                await asyncio.sleep(1)

    async def demand(self, end):
        tasks, due, said = set(), time.monotonic(), time.monotonic()
        while due < end:
            await asyncio.sleep(max(0, due - time.monotonic()))
            task = asyncio.create_task(self.a_request())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            due += 1 / args.rate
            if time.monotonic() - said > 60:
                said = time.monotonic()
                print(f"# {time.strftime('%H:%M:%S')} {dict(self.n)}", flush=True)
        await asyncio.gather(*tasks)

    async def live(self):
        self.steady()
        await self.fill(*self.pods.values())
        end = time.monotonic() + args.seconds
        await asyncio.gather(self.happen(end), self.demand(end))
        report = {**self.n, "wrong": self.n["wrong"], "kinds": self.kinds, "first_wrong": self.wrong,
                  "slowest_sec": round(self.slowest, 3), "slowest_news_sec": round(self.slowest_news, 1), "pods_made": self.serial}
        pathlib.Path(args.report).write_text(json.dumps(report, indent=1) + "\n")


EVENTS = [
    Life.pod_comes, Life.watches_end, Life.pod_comes, Life.rules_are_flushed, Life.identity_is_edited,
    Life.imds_fails, Life.address_is_inherited, Life.somebody_looks, Life.binding_comes_or_goes,
    Life.versions_are_forgotten, Life.pod_is_relabelled, Life.clients_are_rude, Life.entra_fails, Life.imds_throttles,
    Life.pod_comes, Life.watches_break, Life.address_is_inherited, Life.crowd, Life.pod_goes, Life.imds_hangs,
    Life.api_fails, Life.bookmarks, Life.token_is_bypassed, Life.entra_throttles, Life.api_is_away, Life.imds_hangs_up,
]

parser = argparse.ArgumentParser(description=__doc__)
for name in ("box", "report", "nmi", "directory", "sp", "cert", "fed"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--seconds", type=float, required=True)
parser.add_argument("--rate", type=float, required=True)
args = parser.parse_args()
box = args.box
asyncio.run(Life(1).live())
