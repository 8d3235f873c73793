#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The two ends of a pod's first token.

  heir.py ask TARGET SECONDS     inside the pod: one request that waits, and many short ones beside it;
                                 a line an answer: "<seconds since the epoch> <status> <client id>"
  heir.py wait TARGET SECONDS    the one request only
  heir.py watch URL CA TOKEN POD where the API server is reached: prints when the watch told of POD's IP
"""
import json
import socket
import ssl
import sys
import threading
import time
import urllib.request


def ask(target, timeout):
    """Prints the answer, if there is one; True for a token."""
    try:
        with socket.create_connection(("169.254.169.254", 80), timeout=timeout) as s:
            s.sendall(f"GET {target} HTTP/1.1\r\nHost: 169.254.169.254\r\nMetadata: true\r\n"
                      "Connection: close\r\n\r\n".encode())
            data = s.recv(65536)
            t = time.time()
            s.settimeout(5)
            while chunk := s.recv(65536):
                data += chunk
    except OSError:
        return False
    head, _, body = data.partition(b"\r\n\r\n")
    status = head.split(b" ")[1].decode()
    who = json.loads(body).get("client_id", "-") if status == "200" else "-"
    sys.stdout.write(f"{t:.6f} {status} {who}\n")  # in one piece: there are two threads
    sys.stdout.flush()
    return status == "200"


def poll(target, end):
    n = 0
    while time.time() < end:
        n += 1
        ask(f"{target}&n={n}", 0.2)
        time.sleep(0.05)
    print(f"asked {n}", flush=True)


def do_ask(target, seconds):
    end = time.time() + float(seconds)
    t = threading.Thread(target=poll, args=(target, end))
    t.start()
    while time.time() < end and not ask(target, end - time.time()):
        time.sleep(0.1)
    t.join()


def do_wait(target, seconds):
    ask(target, float(seconds))


def do_watch(url, ca, token, pod):
    req = urllib.request.Request(f"{url}/api/v1/pods?watch=1",
                                 headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(req, context=ssl.create_default_context(cafile=ca)) as answer:
        print("watching", flush=True)
        for line in answer:
            t = time.time()
            obj = json.loads(line)["object"]
            if obj["metadata"].get("name") == pod and obj.get("status", {}).get("podIP"):
                print(f"{t:.6f}", flush=True)
                return


{"ask": do_ask, "wait": do_wait, "watch": do_watch}[sys.argv[1]](*sys.argv[2:])
