#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Requests that two readers may take for different ones; a line each: "ok NAME", or "bad NAME what came".

Good is one answer, a refusal, and then the end of the connection: what follows is never taken for a request, nor what
is in a body. Each is sent whole, and once more cut in two at each of a few places.
"""
import socket
import time

T = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://management.azure.com/"
H = "Host: 169.254.169.254\r\nMetadata: true\r\n"
NEXT = f"GET {T} HTTP/1.1\r\n{H}\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
LENGTH = f"Content-Length: {len(NEXT)}\r\n"
END = f"0\r\n\r\n{NEXT}"


def get(headers, rest=NEXT, line=f"GET {T} HTTP/1.1"):
    return f"{line}\r\n{headers}\r\n{rest}"


def post(headers, rest=NEXT, version="1.1"):
    return f"POST /metadata/instance?api-version=2021-02-01 HTTP/{version}\r\n{H}{headers}\r\n{rest}"


CASES = {
    "length and chunks": post(LENGTH + CHUNKED, END),
    "chunks and length": post(CHUNKED + LENGTH, END),
    "length 0 and chunks": post("Content-Length: 0\r\n" + CHUNKED, END),
    "chunks twice": post(CHUNKED + CHUNKED, END),
    "chunked, identity": post(CHUNKED + "Transfer-Encoding: identity\r\n", END),
    "identity": post("Transfer-Encoding: identity\r\n"),
    "gzip, chunked": post("Transfer-Encoding: gzip, chunked\r\n", END),
    "chunked, chunked": post("Transfer-Encoding: chunked, chunked\r\n", END),
    "xchunked": post("Transfer-Encoding: xchunked\r\n" + LENGTH, END),
    "quoted chunked": post('Transfer-Encoding: "chunked"\r\n' + LENGTH, END),
    "chunked;q=1": post("Transfer-Encoding: chunked;q=1\r\n" + LENGTH, END),
    "chunked with a vertical tab": post("Transfer-Encoding: \x0bchunked\r\n" + LENGTH, END),
    "blank before the colon of chunks": post("Transfer-Encoding : chunked\r\n" + LENGTH, END),
    "tab before the colon of chunks": post("Transfer-Encoding\t: chunked\r\n" + LENGTH, END),
    "blank before chunks": post(" Transfer-Encoding: chunked\r\n" + LENGTH, END),
    "underscore": post("Transfer_Encoding: chunked\r\nTransfer-Encoding: x\r\n" + LENGTH, END),
    "chunks folded": post("Transfer-Encoding:\r\n chunked\r\n" + LENGTH, END),
    "chunks folded in the name": post("Transfer-Encoding\r\n : chunked\r\n" + LENGTH, END),
    "chunks of HTTP/1.0": post(CHUNKED, END, "1.0"),
    "empty chunks": post("Transfer-Encoding:\r\n" + LENGTH, END),
    "NUL behind chunked": post("Transfer-Encoding: chunked\0\r\n" + LENGTH, END),
    "NUL in the name of chunks": post("Transfer-Encoding\0: chunked\r\n" + LENGTH, END),
    "two lengths": post("Content-Length: 0\r\n" + LENGTH),
    "the same length twice": post(LENGTH + LENGTH),
    "a list of lengths": post(f"Content-Length: {len(NEXT)}, {len(NEXT)}\r\n"),
    "a signed length": post(f"Content-Length: +{len(NEXT)}\r\n"),
    "a negative length": post("Content-Length: -1\r\n"),
    "a length in hexadecimal": post("Content-Length: 0x10\r\n"),
    "a length that wraps": post("Content-Length: 18446744073709551616\r\n"),
    "a length with a blank in it": post("Content-Length: 1 0\r\n"),
    "an empty length": post("Content-Length:\r\n"),
    "a length folded": post(f"Content-Length:\r\n {len(NEXT)}\r\n"),
    "blank before the colon of a length": post(f"Content-Length : {len(NEXT)}\r\n"),
    "NUL behind a length": post("Content-Length: 5\0\r\n"),
    "a folded header": get(f"{H}X-A: b\r\n c\r\n"),
    "a folded header, by a tab": get(f"{H}X-A: b\r\n\tc\r\n"),
    "a folded first header": get(f" X-A: b\r\n{H}"),
    "a bare CR in a header": get(f"{H}X-A: b\rX-B: c\r\n"),
    "a bare CR before a length": post(f"X-A: b\rContent-Length: {len(NEXT)}\r\n" + "Content-Length: x\r\n"),
    "NUL in a header": get(f"{H}X-A: b\0c\r\n"),
    "NUL in a name": get(f"{H}X-\0A: b\r\n"),
    "NUL in the target": get(H, line=f"GET {T}\0 HTTP/1.1"),
    "blank before a colon": get("Host: x\r\nMetadata : true\r\n"),
    "no colon": get(f"{H}nonsense\r\n"),
    "no name": get(f"{H}: b\r\n"),
    "a name with a parenthesis": get(f"{H}X(A): b\r\n"),
    "Host twice": get(f"{H}Host: other\r\n"),
    "Host twice, the same": get(f"{H}Host: 169.254.169.254\r\n"),
    "no Host": get("Metadata: true\r\n"),
    "HTTP/2.0": get(H, line=f"GET {T} HTTP/2.0"),
    "HTTP/1.2": get(H, line=f"GET {T} HTTP/1.2"),
    "HTTP/1.10": get(H, line=f"GET {T} HTTP/1.10"),
    "http/1.1": get(H, line=f"GET {T} http/1.1"),
    "no version": get(H, line=f"GET {T}"),
    "bare LF": NEXT.replace("\r\n", "\n") + NEXT,
    "a bare LF behind the request line": NEXT.replace("\r\n", "\n", 1) + NEXT,
    "a bare LF in the end": NEXT[:-2] + "\n" + NEXT,
    "a bare LF before a length": post("X-A: b\n" + LENGTH),
    "a tab for a blank": get(H, line=f"GET\t{T}\tHTTP/1.1"),
}
# as good as a request of which one knows where it ends: one 400, and the connection may go on
SINGLE = {
    "an absolute target": get(H, "", f"GET http://169.254.169.254{T} HTTP/1.1"),
    "an absolute target of another host": get(H, "", f"GET http://example.com{T} HTTP/1.1"),
    "an authority": get(H, "", "GET 169.254.169.254:80 HTTP/1.1"),
    "a fragment": get(H, "", f"GET {T}#a HTTP/1.1"),
    "two blanks": get(H, "", f"GET {T}  HTTP/1.1"),
    "dots": get(H, "", f"GET /metadata/../metadata{T[9:]} HTTP/1.1"),
    "escaped dots": get(H, "", f"GET /metadata/%2e%2e/metadata{T[9:]} HTTP/1.1"),
    "a backslash": get(H, "", f"GET /metadata\\{T[10:]} HTTP/1.1"),
    "an escaped NUL": get(H, "", f"GET /metadata%00{T[9:]} HTTP/1.1"),
}
# what is read in one way by everybody, or is never answered: no token, and not two answers
LOOSE = {
    "chunk extensions": post(CHUNKED, f"5;a=b\r\nhello\r\n0;x\r\n\r\n"),
    "a chunk extension with a bare LF": post(CHUNKED, f"5;\nhello\r\n0\r\n\r\n"),
    "a chunk that is too long": post(CHUNKED, f"ffffffffffffffff\r\n{NEXT}"),
    "a chunk of no size": post(CHUNKED, f"\r\n{NEXT}"),
    "a chunk in 0x": post(CHUNKED, f"0x5\r\nhello\r\n{END}"),
    "a chunk without its end": post(CHUNKED, f"5\r\nhelloX\r\n{END}"),
    "a length in the trailer": post(CHUNKED, f"0\r\nContent-Length: {len(NEXT)}\r\n\r\n"),
    "more blank lines than one": "\r\n\r\n\r\n",
    "CONNECT": f"CONNECT 169.254.169.254:80 HTTP/1.1\r\n{H}\r\n",
}


# of the library's own: 413 for a length that no number holds, 505 for another version; or the end at once
REFUSALS = (b"HTTP/1.1 400 ", b"HTTP/1.1 413 ", b"HTTP/1.1 505 ", b"")


def ask(raw, cut=None, wait=3.0):
    """what came, and whether the connection ended"""
    data, end = b"", time.monotonic() + wait
    with socket.create_connection(("169.254.169.254", 80), timeout=wait) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if cut:
                s.sendall(raw[:cut])
                time.sleep(0.01)
            s.sendall(raw[cut or 0:])
        except OSError:
            pass
        try:
            while (left := end - time.monotonic()) > 0:
                s.settimeout(left)
                chunk = s.recv(65536)
                if not chunk:
                    return data, True
                data += chunk
        except TimeoutError:
            return data, False
        except OSError:
            return data, True
    return data, False


def judge(name, raw, cut, kind):
    data, ended = ask(raw, cut, 3 if kind == "cases" else 0.3)
    # libmicrohttpd 0.9.75 says the head of its own page about a bad Content-Length twice, and closes
    head, _, rest = data.partition(b"\r\n\r\n")
    if rest.startswith(head) and b"<b>Content-Length</b>" in rest and ended:
        data = rest
    answers = data.count(b"HTTP/1.1 ")
    if kind == "cases":
        good = answers <= 1 and data[:13] in REFUSALS and ended
    elif kind == "single":
        good = answers == 1 and data.startswith(b"HTTP/1.1 400 ")
    else:
        good = answers <= 1 and b"HTTP/1.1 2" not in data
    if not good or b"access_token" in data:
        heads = [part[:40] for part in data.replace(b"HTTP/1.1 ", b"\0HTTP/1.1 ").split(b"\0") if part]
        print("bad", name, f"(cut at {cut})", "ended" if ended else "open", heads)
        return False
    return True


for kind, cases in ("cases", CASES), ("single", SINGLE), ("loose", LOOSE):
    for name, text in cases.items():
        raw = text.encode("latin-1")
        cuts = [None, raw.find(b"\r\n") + 1, len(raw) // 2, len(raw) - 1]
        if all([judge(name, raw, cut, kind) for cut in cuts if cut is None or cut > 0]):
            print("ok", name)
print("ok all of them were sent")
