# SPDX-License-Identifier: MIT
"""HTTP/1.1 byte by byte, where a library would already be too polite."""
import re


def exchange(s, request):
    """One answer to the request, whole; less, or nothing, if the connection ended before."""
    data = b""
    try:
        s.sendall(request)
        while True:
            head, end, body = data.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: *(\d+)", head, re.I)
            if end and len(body) >= int(length[1] if length else 0):
                break
            if not (chunk := s.recv(65536)):
                break
            data += chunk
    except ConnectionError:
        pass
    return data
