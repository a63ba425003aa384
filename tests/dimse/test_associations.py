"""Who is let in, to what, and how it ends."""

import asyncio
import threading
from typing import Any

import pytest
from pydicom import uid
from pynetdicom.association import Association

from app.archive import Archive
from app.dimse.listener import listening
from app.settings import Settings
from fhir.errors import Invalid
from tests.dimse.conftest import with_settings
from tests.dimse.peers import ECHO, FIND, associate, connected, contexts

CT = uid.CTImageStorage
MR = uid.MRImageStorage
WORKLIST = "1.2.840.10008.5.1.4.31"
COMMITMENT = "1.2.840.10008.1.20.1"


def rejection(association: Association) -> tuple[int, int, int] | None:
    """Give result, source and diagnostic of a rejection."""
    if association.is_established:
        association.release()
        return None
    answer = association.acceptor.primitive
    assert answer is not None
    assert answer.result is not None
    assert answer.result_source is not None
    assert answer.diagnostic is not None
    return (answer.result, answer.result_source, answer.diagnostic)


async def audited(archive: Archive, **wanted: Any) -> list[dict[str, Any]]:
    found = archive.database["audit_events"].find({"door": "dimse", **wanted})
    return [one async for one in found.sort("recorded")]


async def test_a_known_peer_is_answered(port: int) -> None:
    def ask() -> int:
        with connected(port, "TECHNOLOGIST", contexts(ECHO)) as peer:
            return int(peer.send_c_echo().Status)

    assert await asyncio.to_thread(ask) == 0x0000


@pytest.mark.parametrize(
    ("title", "called", "answered", "code"),
    [
        ("STRANGER", "RADIOGRAPH", (1, 1, 3), "CALLING_AE_UNKNOWN"),
        ("technologist", "RADIOGRAPH", (1, 1, 3), "CALLING_AE_UNKNOWN"),
        ("TECHNOLOGIST", "OTHER", (1, 1, 7), "CALLED_AE_UNKNOWN"),
        ("ELSEWHERE", "RADIOGRAPH", (1, 1, 3), "CALLING_AE_ELSEWHERE"),
    ],
)
async def test_a_peer_that_is_not_known_is_rejected_and_that_is_in_the_audit(
    title: str, called: str, answered: tuple[int, int, int], code: str, archive: Archive, port: int
) -> None:
    before = await audited(archive, action="login")

    def ask() -> tuple[int, int, int] | None:
        return rejection(associate(port, title, contexts(ECHO), called=called))

    assert await asyncio.to_thread(ask) == answered
    [entry] = (await audited(archive, action="login"))[len(before) :]
    told = {name: entry[name] for name in ("outcome", "query", "who", "address", "ids")}
    assert told == {
        "outcome": "refused",
        "query": code,
        "who": None,
        "address": "127.0.0.1",
        "ids": [],
    }


async def test_a_peer_may_call_from_the_networks_that_are_named(port: int) -> None:
    def ask() -> tuple[int, int, int] | None:
        return rejection(associate(port, "HERE", contexts(ECHO)))

    assert await asyncio.to_thread(ask) is None


async def test_nobody_is_let_in_unless_settings_name_them(archive: Archive) -> None:
    async with listening(with_settings(archive, dimse_callers={})) as closed:

        def ask() -> tuple[int, int, int] | None:
            return rejection(associate(closed.port, "TECHNOLOGIST", contexts(ECHO)))

        assert await asyncio.to_thread(ask) == (1, 1, 3)


@pytest.mark.parametrize(
    "said",
    [
        {"roles": ["technologist"], "patient": ["../x"]},
        {"roles": ["technologist"], "specialty": ["ALCHEMY"]},
        {"roles": ["technologist"], "clearance": "most of it"},
    ],
)
async def test_a_caller_that_makes_no_sense_keeps_the_listener_from_starting(
    said: dict[str, Any], archive: Archive
) -> None:
    before = set(threading.enumerate())
    with pytest.raises(Invalid, match="RADIOGRAPH_DIMSE_CALLERS: CT1"):
        async with listening(with_settings(archive, dimse_callers={"CT1": said})):
            pass
    assert not [one for one in set(threading.enumerate()) - before if one.name == "dimse"]


@pytest.mark.parametrize("title", ["", " CT", "CT ", "A\\B", "SEVENTEEN LETTERS", "CTé"])
def test_an_ae_title_that_cannot_be_one_is_no_setting(title: str) -> None:
    with pytest.raises(ValueError, match="should match pattern"):
        Settings.model_validate({"dimse_callers": {title: {"roles": ["admin"]}}})


async def test_everything_that_may_be_stored_is_accepted_and_nothing_else(port: int) -> None:
    proposed = [CT, "1.2.3.4.5", uid.EncapsulatedPDFStorage, FIND, WORKLIST, COMMITMENT]

    def ask() -> dict[str, int]:
        with connected(port, "TECHNOLOGIST", contexts(*proposed)) as peer:
            answered = [*peer.accepted_contexts, *peer.rejected_contexts]
            return {str(one.abstract_syntax): one.result or 0 for one in answered}

    assert await asyncio.to_thread(ask) == {
        CT: 0,
        "1.2.3.4.5": 0,
        uid.EncapsulatedPDFStorage: 0,
        FIND: 0,
        WORKLIST: 3,
        COMMITMENT: 3,
    }


@pytest.mark.parametrize(
    ("proposed", "accepted"),
    [
        ([uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian], uid.ExplicitVRLittleEndian),
        ([uid.JPEGLSLossless, uid.ImplicitVRLittleEndian], uid.JPEGLSLossless),
        ([uid.ExplicitVRBigEndian], uid.ExplicitVRBigEndian),
        (["1.2.3", uid.HTJ2KLossless], uid.HTJ2KLossless),
        (["1.2.3"], None),
    ],
)
async def test_objects_come_as_the_peer_prefers_but_explicit_before_implicit(
    proposed: list[str], accepted: str | None, port: int
) -> None:
    def ask() -> str | None:
        chosen = [*contexts(CT, syntaxes=proposed), *contexts(ECHO)]
        with connected(port, "TECHNOLOGIST", chosen) as peer:
            found = [one for one in peer.accepted_contexts if one.abstract_syntax == CT]
            return str(found[0].transfer_syntax[0]) if found else None

    assert await asyncio.to_thread(ask) == accepted


async def test_more_associations_than_allowed_are_rejected_for_now(port: int) -> None:
    def ask() -> list[tuple[int, int, int] | None]:
        opened = [associate(port, "TECHNOLOGIST", contexts(ECHO)) for _ in range(4)]
        assert all(one.is_established for one in opened)
        another = rejection(associate(port, "TECHNOLOGIST", contexts(ECHO)))
        for one in opened:
            one.release()
        return [another]

    assert await asyncio.to_thread(ask) == [(2, 3, 2)]


async def test_stopping_ends_what_is_open(archive: Archive) -> None:
    async with listening(with_settings(archive)) as running:
        peer = await asyncio.to_thread(associate, running.port, "TECHNOLOGIST", contexts(ECHO))
        assert peer.is_established
    await asyncio.to_thread(peer.join, 10)
    assert (peer.is_aborted, peer.is_alive()) == (True, False)
    left = [one.name for one in threading.enumerate() if "AcceptorThread" in one.name]
    assert left == []
