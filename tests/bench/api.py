# SPDX-License-Identifier: MIT
"""The API server of the box, as its admin."""
import http.client
import json
import ssl
import urllib.parse


def add_arguments(parser):
    parser.add_argument("--server", required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--token", required=True, help="file")
    parser.add_argument("--node", required=True)


class Api:
    def __init__(self, args):
        self.url = urllib.parse.urlsplit(args.server)
        self.ca = args.ca
        self.token = open(args.token).read().split()[0]
        self.connection = None

    def connect(self):
        self.connection = http.client.HTTPSConnection(
            self.url.hostname, self.url.port, timeout=20, context=ssl.create_default_context(cafile=self.ca))

    def headers(self, method):
        return {"Authorization": f"Bearer {self.token}",
                "Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json"}

    def send(self, method, path, body=None):
        for attempt in (1, 2):
            try:
                if not self.connection:
                    self.connect()
                self.connection.request(method, path, json.dumps(body) if body is not None else None, self.headers(method))
                answer = self.connection.getresponse()
                text = answer.read()
                break
            except (ConnectionError, http.client.HTTPException):
                self.connection = None
                if attempt == 2:
                    raise
        if answer.status >= 300 and answer.status != 409:
            raise SystemExit(f"{method} {path}: {answer.status} {text[:300]!r}")


def pod(name, namespace, node, labels):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {"nodeName": node, "containers": [{"name": "main", "image": "sandbox"}]}}


def running(ip):
    return {"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}}
