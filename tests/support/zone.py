"""A name server of a test's own: `python zone.py ADDRESS RECORDS`, with records as JSON: `{"NAME KIND": [TEXT]}`."""

from __future__ import annotations

import json
import socket
import sys
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


def answered(wire: bytes, records: dict[str, list[str]]) -> bytes:
    query = dns.message.from_wire(wire)
    (question,) = query.question
    response = dns.message.make_response(query, recursion_available=True)
    name = question.name
    for _ in range(8):
        own = name.to_text(omit_final_dot=True).lower()
        kind = question.rdtype.name
        alias = records.get(f"{own} CNAME")
        if alias and kind != "CNAME":
            response.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", *alias))
            (target,) = response.answer[-1]
            name = target.target
            continue
        if found := records.get(f"{own} {kind}"):
            response.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *found))
        elif not any(known.startswith(f"{own} ") for known in records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        break
    return response.to_wire()


def main(address: str, records: dict[str, list[str]]) -> None:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((address, 53))
    tcp = socket.create_server((address, 53))

    def serve_tcp() -> None:
        while True:
            connection, _ = tcp.accept()
            with connection:
                length = int.from_bytes(connection.recv(2), "big")
                answer = answered(connection.recv(length), records)
                connection.sendall(len(answer).to_bytes(2, "big") + answer)

    threading.Thread(target=serve_tcp, daemon=True).start()
    print("ready", flush=True)  # noqa: T201
    while True:
        wire, sender = udp.recvfrom(4096)
        answer = answered(wire, records)
        if len(answer) > 512:
            short = dns.message.make_response(dns.message.from_wire(wire))
            short.flags |= dns.flags.TC
            answer = short.to_wire()
        udp.sendto(answer, sender)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
