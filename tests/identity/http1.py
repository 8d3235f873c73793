# SPDX-License-Identifier: MIT
"""HTTP/1.1 byte by byte, where a library would already be too polite."""
import os, re


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
    refusals = os.environ.get("NMI_REFUSALS")  # of tests/sandbox/cluster.sh
    # not by a client that runs as nobody: it may not write there
    if data[9:12] != b"200" and refusals and os.geteuid() == 0:
        with open(refusals, "ab") as f:
            f.write(data + b"\n")
    return data
