"""The other end of the cable: sends what it is told to at a rate, and stops by itself.

HELLOs have forged source addresses. Handshakes are begun in earnest, from addresses that receive, and left when the
server has had all the work with them.

It is told by a line of JSON on stdin what to send, and where, and answers with a line when that is done. Raw
sockets write the source address that they like, so no answer reaches anybody.
"""

import json
import os
import random
import socket
import struct
import sys
import time
from collections import deque
from typing import Any

from bisik_protocol.crypto.handshake_client import ClientHandshake
from bisik_protocol.wire.handshake import TYPE_RETRY

BATCH = 50  # datagrams between two looks at the clock
UNDER_WAY = 20  # handshakes that wait for their cookie, so that a server that takes its time is knocked at as often


def packet_head(source: bytes, target: bytes, source_port: int, port: int, length: int) -> bytes:
    """IPv4 (RFC 791; the kernel fills in checksum and identification) and UDP without a checksum (RFC 768)."""
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + length, 0, 0, 64, 17, 0, source, target)
    return head + struct.pack("!HHHH", source_port, port, 8 + length, 0)


def flood(order: dict[str, Any]) -> dict[str, Any]:
    datagrams = [bytes.fromhex(text) for text in order["datagrams"]]
    chance = random.Random(order["seed"])
    target = socket.inet_aton(order["host"])
    heads = []
    for number in range(order["sources"]):
        source = bytes((10, 66, number >> 8 & 0xFF, number & 0xFF))
        heads.append(packet_head(source, target, chance.randrange(1024, 65536), order["port"], len(datagrams[0])))
    began = time.monotonic()
    sent = failed = 0
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        address = (order["host"], 0)
        while sent < order["count"] and time.monotonic() < began + order["budget_s"]:
            for _ in range(BATCH):
                try:
                    sock.sendto(heads[sent % len(heads)] + datagrams[sent % len(datagrams)], address)
                except OSError:
                    failed += 1
                sent += 1
            ahead = began + sent / order["rate"] - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
    return {"sent": sent, "failed": failed, "seconds": round(time.monotonic() - began, 2)}


def knock(order: dict[str, Any]) -> dict[str, Any]:
    """Begin handshakes from many hosts in turn, and never confirm one."""
    fingerprint, server = bytes.fromhex(order["fingerprint"]), (order["host"], order["port"])
    socks = []
    for number in range(order["sources"]):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((f"10.66.1.{number}", 0))
        sock.settimeout(0.2)
        socks.append(sock)
    began = time.monotonic()
    sent = failed = 0
    under_way: deque[tuple[socket.socket, ClientHandshake]] = deque()
    while time.monotonic() < began + order["budget_s"]:
        sock = socks[sent % len(socks)]
        handshake = ClientHandshake(os.urandom, fingerprint)
        try:
            sock.sendto(handshake.hello(), server)
            under_way.append((sock, handshake))
            if len(under_way) > UNDER_WAY:
                sock, handshake = under_way.popleft()
                handshake.receive_retry_untrusted(next_retry(sock))
                handshake.start_exchange()
                for part in handshake.kex():
                    sock.sendto(part, server)
        except OSError:
            failed += 1
        sent += 1
        ahead = began + sent / order["rate"] - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
    for sock in socks:
        sock.close()
    return {"sent": sent, "failed": failed, "seconds": round(time.monotonic() - began, 2)}


def next_retry(sock: socket.socket) -> bytes:
    """Past the answers to earlier handshakes. Raises TimeoutError."""
    while True:
        data = sock.recv(2048)
        if data[0] == TYPE_RETRY:
            return data


def main() -> None:
    sys.stdout.write(json.dumps({"up": True}) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        order = json.loads(line)
        done = flood(order) if "datagrams" in order else knock(order)
        sys.stdout.write(json.dumps(done) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
