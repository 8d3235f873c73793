#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Spellings of a path, sent as raw bytes to the metadata address from inside a pod.

  paths.py ask token|instance EXPECTED  a line each: "ok NAME" or "bad NAME: what came"; EXPECTED is
                                        what the plain spelling is answered with, of the words below
  paths.py forwarded < STATS            the same for what IMDS saw: no identity request but the agent's own

Whoever decides about a path must read it as whoever serves it does. Here that means: a spelling is
answered as the plain one is, or refused as malformed, or (other methods, other paths) by the agent
itself, and what is forwarded can in no reading be an identity path.

What an answer is: `token`, `refused` (a refusal of the agent's for the plain request: 400, 403),
`metadata` (IMDS's own), `malformed` (400 of the agent or of its HTTP library, or a closed connection),
`local` (404 or 405 of the agent).
"""
import json
import re
import socket
import sys
import urllib.parse

from http1 import exchange

PLAIN = {
    "token": ("/metadata/identity/oauth2/token", "?api-version=2018-02-01&resource=https://vault.azure.net"),
    "instance": ("/metadata/instance", "?api-version=2021-02-01"),
}
HOST = "Host: 169.254.169.254\r\n"
TRUE = "Metadata: true\r\n"


def escape(text):
    return "".join(f"%{ord(c):02x}" for c in text)


def spellings(path):
    """name and spelling of a path: the ways in which two readers have disagreed before"""
    segments = path[1:].split("/")
    first, last = segments[0], segments[-1]
    yield "plain", path
    # a separator that is none, or is one to somebody else
    for name, sep in {
        "backslash": "\\", "escaped slash": "%2f", "ESCAPED slash": "%2F", "escaped backslash": "%5c",
        "twice escaped slash": "%252f", "two slashes": "//", "three slashes": "///", "slash dot": "/./",
        "slash escaped dot": "/%2e/", "semicolon": ";/", "parameter": ";a=b/", "escaped semicolon": "%3b/",
        "tab": "\t/", "escaped tab": "%09/", "escaped newline": "/%0a", "escaped return": "/%0d", "space": " /",
        "escaped space": "%20/", "plus": "+/", "overlong slash": "%c0%af", "wide slash": "\uff0f",
        "escaped wide slash": "%ef%bc%8f", "unicode escape": "%u002f", "escaped NUL": "%00/", "NUL": "\0/",
        "colon": ":/", "up and down": "/x/../", "escaped up and down": "/x/%2e%2e/", "half-escaped up": "/x/.%2e/",
        "ESCAPED up": "/x/%2E%2E/", "twice escaped up": "/x/%252e%252e/", "twice escaped dot": "/%252e/",
        "overlong dot": "/%c0%ae/", "twice escaped backslash": "%255c", "mixed slashes": "/\\/",
        "up with backslash": "/x\\..\\", "up with parameter": "/x/..;/",
    }.items():
        yield f"{name} before the last", "/" + "/".join(segments[:-1]) + sep + last
        yield f"{name} after the first", "/" + first + sep + "/".join(segments[1:])
        yield f"{name} everywhere", "/" + sep.join(segments)
    for name, lead in {
        "backslash": "\\", "two slashes": "//", "slash dot": "/./", "slash up": "/../", "escaped up": "/%2e%2e/",
        "elsewhere and up": "/metadata/versions/../../", "instance and up": "/metadata/instance/../../",
        "escaped slash": "/%2f", "semicolon": "/;/", "nothing": "", "tab": "\t/", "escaped NUL": "/%00/",
        "slash backslash": "/\\", "escaped space": "/%20/", "an at sign": "/x@169.254.169.254/",
    }.items():
        yield f"begins with {name}", lead + path[1:]
    for name, tail in {
        "slash": "/", "two slashes": "//", "dot": "/.", "up": "/..", "semicolon": ";", "parameter": ";a=b",
        "escaped question mark": "%3f", "fragment": "#x", "escaped fragment": "%23x", "escaped NUL": "%00",
        "NUL": "\0", "suffix": "x", "segment": "/x", "escaped space": "%20", "backslash": "\\", "dot json": ".json",
        "escaped newline": "%0a", "tab": "\t", "plus": "+", "comma": ",", "escaped slash": "%2f", "star": "*",
    }.items():
        yield f"ends with {name}", path + tail
    for i, word in enumerate(segments):
        rest = segments[:i], segments[i + 1:]
        for name, new in {
            "in capitals": word.upper(), "with one capital": word[0].upper() + word[1:], "escaped": escape(word),
            "with one letter escaped": escape(word[0]) + word[1:], "twice escaped": escape(word[0]).replace("%", "%25") + word[1:],
            "escaped capital": escape(word[0].upper()) + word[1:], "with a soft hyphen": word[0] + "%c2%ad" + word[1:],
            "with an escaped NUL": word + "%00", "with a dot": word + ".", "with a bad escape": word + "%",
            "with a half escape": word + "%2", "with a worse escape": word + "%zz", "with kelvin": word.replace("k", "\u212a") if "k" in word else word + "\u017f",
        }.items():
            yield f"{word} {name}", "/" + "/".join([*rest[0], new, *rest[1]])


def requests(kind):
    path, query = PLAIN[kind]
    for name, p in spellings(path):
        yield name, f"GET {p}{query} HTTP/1.1\r\n{HOST}{TRUE}\r\n"
    t = path + query
    for name, target in {
        "absolute form": f"http://169.254.169.254{t}", "absolute form with port": f"http://169.254.169.254:80{t}",
        "absolute form in capitals": f"HTTP://169.254.169.254{t}", "absolute form of another host": f"http://example.com{t}",
        "absolute form with user": f"http://a@169.254.169.254{t}", "https": f"https://169.254.169.254{t}",
        "absolute form without host": f"http://{t}", "absolute form with one slash": f"http:/{t[1:]}",
        "absolute form with backslashes": f"http:\\\\169.254.169.254{t}", "absolute form of IPv6": f"http://[::ffff:169.254.169.254]{t}",
        "authority form": "169.254.169.254:80", "authority and path": f"169.254.169.254{t}", "scheme-relative": f"//169.254.169.254{t}",
        "asterisk": "*", "asterisk and path": f"*{t}", "no slash": t[1:], "question mark first": f"?{t}", "fragment first": f"#{t}",
    }.items():
        yield name, f"GET {target} HTTP/1.1\r\n{HOST}{TRUE}\r\n"
    for name, line in {
        "two spaces before the target": f"GET  {t} HTTP/1.1", "a tab before the target": f"GET\t{t} HTTP/1.1",
        "a tab before the version": f"GET {t}\tHTTP/1.1", "two spaces before the version": f"GET {t}  HTTP/1.1",
        "a space before the method": f" GET {t} HTTP/1.1", "a space in the query": f"GET {t} x HTTP/1.1",
        "the path as a second target": f"GET /metadata/versions {t} HTTP/1.1", "a bare carriage return": f"GET {t}\rHTTP/1.1",
        "a vertical tab": f"GET\v{t} HTTP/1.1", "HTTP/1.0": f"GET {t} HTTP/1.0", "HTTP/0.9": f"GET {t}",
        "HTTP/3.0": f"GET {t} HTTP/3.0", "a method in lower case": f"get {t} HTTP/1.1", "an unknown method": f"BREW {t} HTTP/1.1",
        "CONNECT": f"CONNECT {t} HTTP/1.1", "OPTIONS": f"OPTIONS {t} HTTP/1.1", "DELETE": f"DELETE {t} HTTP/1.1",
        "TRACE": f"TRACE {t} HTTP/1.1", "PATCH": f"PATCH {t} HTTP/1.1",
    }.items():
        yield name, f"{line}\r\n{HOST}{TRUE}\r\n"
    for name, host in {
        "no Host": "", "two Hosts": HOST + HOST, "two different Hosts": HOST + "Host: example.com\r\n", "an empty Host": "Host:\r\n",
        "another Host": "Host: example.com\r\n", "Host with port": "Host: 169.254.169.254:80\r\n", "Host with another port": "Host: x:2579\r\n",
        "Host of the agent": "Host: 127.0.0.1:2579\r\n", "Host with a path": f"Host: 169.254.169.254{t}\r\n", "Host with a user": "Host: a@b\r\n",
        "Host with a space": "Host: a b\r\n", "Host with a tab": "Host:\t169.254.169.254\r\n", "Host with a comma": "Host: a,b\r\n",
        "a folded Host": "Host: a\r\n b\r\n", "a space before Host's colon": "Host : a\r\n", "Host in capitals": "HOST: 169.254.169.254\r\n",
        "Host behind a space": " Host: a\r\n", "a NUL in Host": "Host: a\0b\r\n", "Host in brackets": "Host: [::1]\r\n",
        "X-Original-URL": HOST + "X-Original-URL: /metadata/versions\r\n", "X-Rewrite-URL": HOST + "X-Rewrite-URL: /metadata/versions\r\n",
        "X-HTTP-Method-Override": HOST + "X-HTTP-Method-Override: PUT\r\n", "X-Forwarded-Host": HOST + "X-Forwarded-Host: example.com\r\n",
    }.items():
        yield name, f"GET {t} HTTP/1.1\r\n{host}{TRUE}\r\n"
    # an innocent request line, and the path where somebody else might look for it
    for name, lines in {
        "the path in X-Original-URL": f"X-Original-URL: {t}\r\n", "the path in X-Rewrite-URL": f"X-Rewrite-URL: {t}\r\n",
        "the path in Referer": f"Referer: {t}\r\n", "the path behind a bare newline": f"X: a\nGET {t} HTTP/1.1\r\n",
        "the path in the body, its length hidden": f"Content-Length: 0\r\nContent-length : 200\r\n\r\nGET {t} HTTP/1.1\r\n{HOST}{TRUE}",
        "the path in the body, chunked twice": f"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET {t} HTTP/1.1\r\n{HOST}{TRUE}",
    }.items():
        yield f"versions with {name}", f"GET /metadata/versions HTTP/1.1\r\n{HOST}{TRUE}{lines}\r\n"
    for name, q in {
        "the path in the query": f"?x={t}", "the path escaped in the query": f"?x={urllib.parse.quote(t)}",
        "the path behind a second question mark": f"??{t}", "the path behind an ampersand": f"?&{t}",
    }.items():
        yield f"versions with {name}", f"GET /metadata/versions{q} HTTP/1.1\r\n{HOST}{TRUE}\r\n"


def answer(raw):
    """the first answer's status, head and body"""
    with socket.create_connection(("169.254.169.254", 80), timeout=15) as s:
        return exchange(s, raw.encode("utf-8"))


def meaning(data):
    if not data:
        return "malformed"
    head, _, body = data.partition(b"\r\n\r\n")
    status = head.split(b" ")[1].decode() if head[:5] == b"HTTP/" else "?"
    if re.search(rb"^server: *imds", head, re.I | re.M):
        return "metadata"
    if status == "200" and b"access_token" in body:
        return "token"
    reason = re.search(rb'"reason": ?"(\w+)"', body)
    reason = reason[1].decode() if reason else ""
    if status in ("400", "413", "414", "431", "505") and reason in ("", "bad_request", "too_large"):
        return "malformed"
    if (status, reason) in (("404", "not_found"), ("405", "method_not_allowed")):
        return "local"
    if status in ("400", "403") and reason:
        return f"refused:{reason}"
    return f"{status} {body[:80]!r}"


def ask(kind, expected):
    plain = None
    for name, raw in requests(kind):
        try:
            got = meaning(answer(raw))
        except OSError as e:
            got = str(e)
        if plain is None:
            plain = got
        allowed = {expected, "malformed", "local"}
        if name.startswith("versions with"):
            allowed = {"metadata", "malformed"}
        print("ok" if got in allowed else "bad", f"{kind}: {name}: {got}")
    print("ok" if plain == expected else "bad", f"{kind}: the plain path is answered with {expected}: {plain}")


def liberal(target):
    """as the most careless reader would see it"""
    for _ in range(3):
        target = urllib.parse.unquote(target)
    return re.sub(r"[^a-z0-9]+", "", target.split("?")[0].lower())


def forwarded():
    last = json.load(sys.stdin)["last"]
    if len(last) >= 512:
        print("bad", "the record of IMDS was too short")
    for r in last:
        own = re.fullmatch(r"/metadata/identity/oauth2/token\?api-version=2018-02-01(&\w+=[\w.:/%-]+)+", r["target"])
        bad = "identity" in liberal(r["target"]) and not own
        if bad or r["source"].startswith("10.244."):
            print("bad", f"IMDS saw {r['target']} from {r['source']}")
    print("ok what IMDS saw was read")


if sys.argv[1] == "ask":
    ask(sys.argv[2], sys.argv[3])
else:
    forwarded()
