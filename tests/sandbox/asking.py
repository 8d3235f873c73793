# SPDX-License-Identifier: MIT
"""Pods of a node in a box that ask for tokens, from one process: what the soak and the faults share.

An answer is what it is in a few words (`answer`): the application of a token that is still good, or the kind of
refusal; whoever asks compares that with what is due.
"""
import asyncio, base64, ctypes, json, os, pathlib, socket, subprocess, time

CLUSTER = pathlib.Path(__file__).resolve().parent / "cluster.sh"
SHOP, BILLING, KUBELET = (f"{n}{n}{n}{n}{n}{n}{n}{n}-aaaa-4000-8000-00000000000{n}" for n in (1, 2, 3))
SYSTEM = "00000000-aaaa-4000-8000-000000000001"
IDS = "/subscriptions/11111111-2222-4333-8444-555555555555/resourcegroups/ids/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
TOKEN = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://"
REFUSED = "4xx"
libc = ctypes.CDLL(None, use_errno=True)


class Pod:
    def __init__(self, name, expects, netns, resources=()):
        self.name, self.expects, self.resources = name, {expects}, tuple(resources)
        self.netns = netns
        self.address = ("169.254.169.254", 80)
        self.headers = "Metadata: true\r\n"
        self.kept = None  # a connection between two requests
        self.busy = 0
        self.gone = False


class Asking:
    def __init__(self, box):
        self.box = box
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)

    # ---- connections ----

    def socket_in(self, netns):
        ns = os.open(f"/run/netns/{netns}", os.O_RDONLY)
        try:
            if libc.setns(ns, 0):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            finally:
                libc.setns(self.home, 0)
        finally:
            os.close(ns)
        s.setblocking(False)
        return s

    async def connect(self, pod):
        s = self.socket_in(pod.netns)
        try:
            await asyncio.get_running_loop().sock_connect(s, pod.address)
        except BaseException:
            s.close()
            raise
        return await asyncio.open_connection(sock=s)

    async def exchange(self, streams, request):
        """(status, body, whether the connection can be kept)"""
        reader, writer = streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        return int(head[0].split(" ")[1]), body, fields.get("connection") != "close"

    # ---- one request ----

    def check(self, token, claims, request):
        """None, or what is wrong with a token beside its application and end; for who can tell more."""

    def answer(self, status, body, request):
        """What was answered, in the words of `expects`."""
        if status != 200:
            return REFUSED if 400 <= status < 500 else f"status {status} {body[:300]!r}"
        doc = json.loads(body)
        if "token" in doc:  # of the host's path
            doc = doc["token"]
        if "access_token" not in doc:
            return "instance" if "compute" in doc else "no token"
        claims = doc["access_token"].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(claims + "=="))
        if claims["exp"] <= time.time() or int(doc["expires_on"]) <= time.time():
            return f"an expired token of {claims['appid']}"
        return self.check(doc["access_token"], claims, request) or claims["appid"]

    async def asked(self, pod, request, keep):
        streams, old = (pod.kept, True) if keep and pod.kept else (None, False)
        pod.kept = None if old else pod.kept
        if old and streams[0].at_eof():  # it was ended meanwhile, as it may be
            streams[1].close()
            streams, old = None, False
        try:
            streams = streams or await self.connect(pod)
            try:
                status, body, kept = await self.exchange(streams, request)
            except (ConnectionError, asyncio.IncompleteReadError) as e:
                # a kept connection that is ended as it is used is no failure; half an answer is, and a new one's end
                if not old or getattr(e, "partial", b""):
                    raise
                streams[1].close()
                streams = await self.connect(pod)
                status, body, kept = await self.exchange(streams, request)
        except BaseException:
            if streams:
                streams[1].close()
            raise
        if keep and kept and not pod.kept and not pod.gone:
            pod.kept = streams
        else:
            streams[1].close()
        return self.answer(status, body, request)

    def request(self, pod, target):
        return f"GET {target} HTTP/1.1\r\nHost: 169.254.169.254\r\n{pod.headers}\r\n".encode("latin-1")

    # ---- the cluster ----

    async def cluster(self, *args):
        p = await asyncio.create_subprocess_exec(CLUSTER, "--name", self.box, *args, stdin=subprocess.DEVNULL,
                                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        out, _ = await p.communicate()
        if p.returncode:
            raise RuntimeError(f"cluster.sh {' '.join(args)}: {out.decode()[:500]}")
        return out

    async def fault(self, what):
        await self.cluster("api", "POST", f"_sandbox/{what}")
