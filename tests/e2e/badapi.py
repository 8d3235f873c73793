#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An API server that talks nonsense, over TLS.  badapi.py IP PORT CERT KEY KIND"""
import http.server
import ssl
import sys

ip, port, cert, key, kind = sys.argv[1:]
POD = ('{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"shop",'
       '"uid":"u","labels":{"aadpodidbinding":"billing"}},"status":{"phase":"Running","podIP":"10.244.0.11"}}}')
BODY = {
    "truncated": POD[:100],
    "invalid": "<html>this is no JSON</html>\n" * 3,
    "binary": "\x00\xff\x01{]" * 1000 + "\n",
    "array": "[1,2,3]\n",
    "number": "42\n",
    "wrong-types": '{"type":7,"object":"x"}\n{"type":"ADDED","object":[]}\n{"type":"ADDED"}\n{}\nnull\n',
    "no-version": '{"type":"ADDED","object":{"kind":"Pod","metadata":{}}}\n',
    "unknown-event": '{"type":"EXPLODED","object":{}}\n',
    "deep": "[" * 100000 + "\n",
    "long-line": '{"type":"ADDED","object":{"kind":"Pod","x":"' + "a" * (40 << 20) + '"}}\n',
    "error-event": '{"type":"ERROR","object":{"kind":"Status","code":"x","message":7}}\n',
    "empty": "",
}[kind].encode("latin-1")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(BODY) + (50 if kind == "truncated" else 0)))
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            self.wfile.write(BODY)
        except OSError:
            pass
        self.close_connection = True

    def log_message(self, *_):
        print(self.path, flush=True)


server = http.server.ThreadingHTTPServer((ip, int(port)), Handler)
ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
ctx.load_cert_chain(cert, key)
server.socket = ctx.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
