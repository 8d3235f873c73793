#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bytes that are no good HTTP, sent to the metadata address; a line each: "ok NAME" or "bad NAME what".

Good is a refusal (4xx, 5xx), or a closed connection, within the time; never a token, never a hang.
"""
import re
import socket
import sys
import time

T = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://management.azure.com/"
H = "Host: 169.254.169.254\r\nMetadata: true\r\n"
CASES = {
    "no request line": "\r\n\r\n",
    "binary": "\x00\x01\x02\xff" * 50 + "\r\n\r\n",
    "TLS hello": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "a" * 100,
    "no version": f"GET {T}\r\n{H}\r\n",
    "HTTP/2.0": f"GET {T} HTTP/2.0\r\n{H}\r\n",
    "HTTP/2 preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.9": f"GET {T} HTTP/1.9\r\n{H}\r\n",
    "method in lower case": f"get {T} HTTP/1.1\r\n{H}\r\n",
    "absolute target": f"GET http://169.254.169.254{T} HTTP/1.1\r\n{H}\r\n",
    "asterisk target": f"OPTIONS * HTTP/1.1\r\n{H}\r\n",
    "CONNECT": f"CONNECT 169.254.169.254:80 HTTP/1.1\r\n{H}\r\n",
    "header without colon": f"GET {T} HTTP/1.1\r\n{H}nonsense\r\n\r\n",
    "space before colon": f"GET {T} HTTP/1.1\r\nHost: x\r\nMetadata : true\r\n\r\n",
    "folded header": f"GET {T} HTTP/1.1\r\n{H}X-Forwarded-For: 1\r\n 2\r\n\r\n",
    "leading space": f"GET {T} HTTP/1.1\r\n Metadata: true\r\nHost: x\r\n\r\n",
    "NUL in a header": f"GET {T} HTTP/1.1\r\nHost: x\r\nMetadata: true\x00x\r\n\r\n",
    "Metadata twice": f"GET {T} HTTP/1.1\r\n{H}Metadata: true\r\n\r\n",
    "two Hosts": f"GET {T} HTTP/1.1\r\n{H}Host: other\r\n\r\n",
    "no Host": f"GET {T} HTTP/1.1\r\nMetadata: true\r\n\r\n",
    "two lengths": f"GET {T} HTTP/1.1\r\n{H}Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello",
    "length and chunks": f"POST {T} HTTP/1.1\r\n{H}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad length": f"GET {T} HTTP/1.1\r\n{H}Content-Length: -1\r\n\r\n",
    "huge length": f"GET {T} HTTP/1.1\r\n{H}Content-Length: 99999999999999999999\r\n\r\n",
    "bad chunk": f"POST {T} HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "target over the limit": f"GET {T}&x={'a' * 40000} HTTP/1.1\r\n{H}\r\n",
    "target of 5 KiB": f"GET {T}&x={'a' * 5000} HTTP/1.1\r\n{H}\r\n",
    "headers over the limit": f"GET {T} HTTP/1.1\r\n{H}X: {'a' * 40000}\r\n\r\n",
    "a thousand headers": f"GET {T} HTTP/1.1\r\n{H}" + "A: b\r\n" * 5000 + "\r\n",
    "a thousand parameters": f"GET {T}" + "&a=b" * 900 + f" HTTP/1.1\r\n{H}\r\n",
    "bad escape": f"GET {T}%zz HTTP/1.1\r\n{H}\r\n",
    "NUL in the query": f"GET {T}%00 HTTP/1.1\r\n{H}\r\n",
    "raw control in the target": f"GET /metadata/\x01 HTTP/1.1\r\n{H}\r\n",
    "space in the query": f"GET {T} x HTTP/1.1\r\n{H}\r\n",
    "fragment": f"GET {T}#frag HTTP/1.1\r\n{H}\r\n",
    "not UTF-8": f"GET {T}%ff%fe HTTP/1.1\r\n{H}\r\n",
}


def whole(data):
    """is this an answer with all of its body"""
    head, end, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: *(\d+)", head, re.I)
    return bool(end) and length is not None and len(body) >= int(length[1])


def ask(raw):
    with socket.create_connection(("169.254.169.254", 80), timeout=15) as s:
        try:
            s.sendall(raw.encode("latin-1"))
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        data = b""
        try:
            while not whole(data) and (chunk := s.recv(65536)):
                data += chunk
        except ConnectionError:
            pass
        return data


for name, raw in CASES.items():
    t = time.monotonic()
    try:
        data = ask(raw)
    except TimeoutError:
        data = b"HANGS"
    except OSError as e:
        data = f"CANNOT CONNECT {e}".encode()
    good = data == b"" or data[:5] == b"HTTP/" and data[9:10] in b"45"
    if good and time.monotonic() - t < 12 and b"access_token" not in data:
        print("ok", name)
    else:
        print("bad", name, data[:80])
sys.exit(0)
