"""Peers that break the rules: their association ends, and nobody else notices."""

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from pydicom import uid
from pynetdicom.pdu_primitives import P_DATA

from app.archive import Archive
from app.dimse.association import MAX_IDENTIFIER_BYTES, MAX_READ_BYTES
from app.dimse.listener import listening
from tests.dimse.conftest import with_settings
from tests.dimse.peers import ECHO, FIND, associate, connected, contexts, dataset

CT = str(uid.CTImageStorage)
DATA, LAST_DATA, LAST_COMMAND = b"\x00", b"\x02", b"\x03"


def answered(port: int, data: bytes) -> bytes:
    """Send bytes, and give what comes back before the connection is closed."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=40)) as peer:
        peer.sendall(data)
        got = b""
        try:
            while piece := peer.recv(4096):
                got += piece
        except ConnectionResetError:
            pass
        return got


async def still_serves(port: int) -> bool:
    def ask() -> int:
        with connected(port, "TECHNOLOGIST", contexts(ECHO)) as peer:
            return int(peer.send_c_echo().Status)

    return await asyncio.to_thread(ask) == 0


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x01\x00" + struct.pack(">I", MAX_READ_BYTES + 1),
        b"\x01\x00\x00\x00\x00\x04abcd",
        b"\x04\x00\x00\x00\x00\x0a\x00\x00\x00\x06\x01\x03abcd",
        b"\x01\x00\x00\x00\x00\x44\x00\x01" + bytes(66),
        b"\x01\x00\x00\x00\x00\xff" + b"\xff" * 255,
    ],
)
async def test_what_is_no_association_request_ends_the_connection(data: bytes, port: int) -> None:
    got = await asyncio.to_thread(answered, port, data)
    assert got[:1] in {b"", b"\x03", b"\x07"}
    assert await still_serves(port)


async def test_a_peer_that_says_nothing_is_not_waited_for_for_ever(archive: Archive) -> None:
    async with listening(with_settings(archive, dimse_timeout=1)) as running:
        assert await asyncio.to_thread(answered, running.port, b"") == b""
        half = b"\x01\x00\x00\x00\x00\xff" + bytes(10)
        assert await asyncio.to_thread(answered, running.port, half) == b""
        peer = await asyncio.to_thread(associate, running.port, "TECHNOLOGIST", contexts(ECHO))
        await asyncio.to_thread(peer.join, 20)
        assert (peer.is_aborted, peer.is_alive()) == (True, False)


def fragments(port: int, send: Callable[[Callable[[int, bytes], None]], None]) -> bool:
    """Send fragments of messages as no peer should; say whether we were thrown out."""
    with connected(port, "TECHNOLOGIST", contexts(FIND, CT)) as peer:
        ids = {str(one.abstract_syntax): one.context_id or 0 for one in peer.accepted_contexts}

        def put(context: int, fragment: bytes) -> None:
            data = P_DATA()
            data.presentation_data_value_list.append(
                (ids[FIND] if context == 0 else ids[CT], fragment)
            )
            peer.dul.send_pdu(data)

        send(put)
        peer.join(30)
        return peer.is_aborted and not peer.is_alive()


def command(kind: int, sop_class: str, **more: int) -> bytes:
    elements = {
        0x0002: sop_class.encode() + bytes(len(sop_class) % 2),
        0x0100: struct.pack("<H", kind),
        0x0110: struct.pack("<H", 1),
        0x0700: struct.pack("<H", 2),
        0x0800: struct.pack("<H", 1),
    }
    if kind == 1:
        elements[0x1000] = b"1.2.3\0"
    body = b"".join(
        struct.pack("<HHI", 0, number, len(value)) + value
        for number, value in sorted(elements.items())
    )
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


@pytest.mark.parametrize("case", ["command", "identifier", "garbage", "many"])
async def test_a_message_that_is_too_much_ends_the_association(case: str, port: int) -> None:
    piece = bytes(100_000)

    def send(put: Callable[[int, bytes], None]) -> None:
        if case == "command":
            put(0, b"\x01" + piece)
        elif case == "identifier":
            put(0, LAST_COMMAND + command(0x20, FIND))
            for _ in range(MAX_IDENTIFIER_BYTES // len(piece) + 1):
                put(0, DATA + piece)
        elif case == "garbage":
            put(0, LAST_COMMAND + b"\xff" * 40)
        else:
            for _ in range(200):
                put(0, LAST_COMMAND + command(0x20, FIND))
                put(0, LAST_DATA + b"\x08\x00\x52\x00\x06\0\0\0STUDY \x10\x00\x10\x00\0\0\0\0")

    assert await asyncio.to_thread(fragments, port, send)
    assert await still_serves(port)


async def test_a_deeply_nested_identifier_is_refused(port: int) -> None:
    query = dataset(QueryRetrieveLevel="STUDY")
    inner = query
    for _ in range(70):
        inner.ProcedureCodeSequence = [dataset(CodeValue="1")]
        inner = inner.ProcedureCodeSequence[0]

    def ask() -> list[int]:
        with connected(port, "RADIOLOGIST", contexts(FIND)) as peer:
            return [int(status.Status) for status, _ in peer.send_c_find(query, FIND)]

    assert await asyncio.to_thread(ask) == [0xA900]


async def test_a_request_in_a_context_of_another_service_ends_the_association(port: int) -> None:
    def send(put: Callable[[int, bytes], None]) -> None:
        put(1, LAST_COMMAND + command(0x20, FIND))
        put(1, LAST_DATA + b"\x08\x00\x52\x00\x06\0\0\0STUDY ")

    assert await asyncio.to_thread(fragments, port, send)


async def test_nothing_of_what_peers_send_is_in_the_logs(
    port: int, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    secret = b"Secret^Patient"

    def send(put: Callable[[int, bytes], None]) -> None:
        put(1, LAST_COMMAND + command(0x01, CT))
        put(1, DATA + b"\x10\x00\x10\x00PN" + struct.pack("<H", len(secret)) + secret)
        put(1, LAST_COMMAND + command(0x4321, secret.decode()))

    assert await asyncio.to_thread(fragments, port, send)
    out: Any = capfd.readouterr()
    assert "Secret" not in out.out + out.err + caplog.text
