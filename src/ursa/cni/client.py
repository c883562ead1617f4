#!/usr/bin/env -S python3 -IS
"""The CNI plugin where there is no C compiler: the same wire as client.c, 25 ms slower a call.

It is installed as a file of its own beside netd.sock, so it imports nothing of ours.
"""

import json
import os
import socket
import sys

SOCKET = os.path.join(os.path.dirname(os.path.realpath(__file__)), "netd.sock")
DOWN = {
    "cniVersion": "0.4.0",
    "code": 11,
    "msg": "netd does not answer: the node's network daemon is down",
}


def ask(request: bytes) -> bytes:
    """Return netd's whole answer; OSError if there is none."""
    with socket.socket(socket.AF_UNIX) as netd:
        netd.connect(SOCKET)
        netd.sendall(request)
        netd.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: netd.recv(1 << 14), b""))


def main() -> int:
    records = [
        os.fsencode(f"{name}={value}\0")
        for name, value in os.environ.items()
        if name.startswith("CNI_")
    ]
    try:
        answer = ask(b"".join(records) + b"\0" + sys.stdin.buffer.read())
    except OSError:
        answer = b""
    if not answer:
        print(json.dumps(DOWN))
        return 1
    sys.stdout.buffer.write(answer[1:])
    return int(answer[:1] != b"0")


if __name__ == "__main__":
    sys.exit(main())
