"""The other end of the cable: sends HELLOs with forged source addresses, at a rate, and stops by itself.

It is told by a line of JSON on stdin what to send, and where, and answers with a line when that is done. Raw
sockets write the source address that they like, so no answer reaches anybody.
"""

import json
import random
import socket
import struct
import sys
import time
from typing import Any

BATCH = 50  # datagrams between two looks at the clock


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


def main() -> None:
    sys.stdout.write(json.dumps({"up": True}) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(flood(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
