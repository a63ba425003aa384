"""Prints how our service and other DICOMweb servers do at the same requests, one after the other.

Ours runs with authentication, policy and audit, two processes and stores of its own. Run as
`python -m tests.bench.side_by_side [--folder DIR] [--other NAME=URL[@PID]] …`; the others have to
be there, empty and let everybody in. Without a folder of DICOM files some are made.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from app.embedded.folder import DatabaseFolder
from tests.bench.load import (
    FRAME,
    JSON,
    OBJECT,
    Figures,
    Peer,
    Request,
    body_of,
    measured,
    storing,
)
from tests.build import study
from tests.serving import Serving, serving

STUDIES: Final = 10
SIDE: Final = 512
BATCH: Final = 10
STORING: Final = 4
CONNECTIONS: Final = (1, 8)


def main() -> None:
    """Measure everybody and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--other", action="append", default=[], metavar="NAME=URL[@PID]")
    parser.add_argument("--folder", type=Path, help="of DICOM files, to store and ask for")
    parser.add_argument("--instances", type=int, default=20, help="of each study that is made")
    parser.add_argument("--seconds", type=float, default=4, help="for each kind of request")
    parser.add_argument("--workers", type=int, default=2, help="processes of ours")
    asked = parser.parse_args()
    objects = list(_objects(asked.folder, asked.instances))
    found = {
        peer.name: _measured(peer, objects, asked.seconds) for peer in map(_other, asked.other)
    }
    found = {"ours": asyncio.run(_ours(objects, asked.seconds, asked.workers)), **found}
    _print(found)


def _objects(folder: Path | None, instances: int) -> Iterator[bytes]:
    if folder is not None:
        yield from (path.read_bytes() for path in sorted(folder.rglob("*.dcm")))
        return
    noise = np.random.default_rng(1).integers(0, 4096, (1, SIDE, SIDE), np.uint16)
    for number in range(STUDIES):
        who = {"PatientID": f"P{number}", "PatientName": f"Doe^{number}"}
        yield from study(1, instances, StudyInstanceUID=f"1.2.826.{number}", pixels=noise, **who)


def _other(text: str) -> Peer:
    name, _, rest = text.partition("=")
    base, _, process = rest.partition("@")
    return Peer(name, base, processes=(int(process),) if process else ())


async def _ours(objects: Sequence[bytes], seconds: float, workers: int) -> dict[str, Figures]:
    with tempfile.TemporaryDirectory() as folder:
        async with serving(Path(folder), workers=str(workers)) as server:
            return await asyncio.to_thread(_measured, _peer(server), objects, seconds)


def _peer(server: Serving) -> Peer:
    database = DatabaseFolder(server.installation.data_dir / "database").read_state()
    return Peer(
        "ours",
        f"{server.url}/dicomweb",
        {"Authorization": f"Bearer {server.issuer.token('radiologist')}"},
        (server.pid,),
        (database.mongod,) if database.mongod else (),
    )


def _measured(peer: Peer, objects: Sequence[bytes], seconds: float) -> dict[str, Figures]:
    stored = measured(peer, list(storing(objects, BATCH)), STORING, None)
    found = {f"STOW, instances, {STORING} connections": _of_each(stored, BATCH)}
    for name, requests in _readings(peer).items():
        for connections in CONNECTIONS:
            figures = measured(peer, requests, connections, seconds)
            found[f"{name}, {connections} connection{'s' * (connections > 1)}"] = figures
    return found


def _of_each(figures: Figures, batch: int) -> Figures:
    return Figures(
        figures.rate * batch,
        figures.p50,
        None if figures.cpu is None else figures.cpu / batch,
        None if figures.store_cpu is None else figures.store_cpu / batch,
        figures.memory,
    )


def _readings(peer: Peer) -> dict[str, list[Request]]:
    studies = [_value(one, "0020000D") for one in _listed(peer, "/studies?limit=100")]
    instances = [
        f"/studies/{uid}/series/{_value(one, '0020000E')}/instances/{_value(one, '00080018')}"
        for uid in studies
        for one in _listed(peer, f"/studies/{uid}/instances?limit=40")
    ]
    return {
        "QIDO, one study": [Request(f"/studies?StudyInstanceUID={one}", JSON) for one in studies],
        "QIDO, 25 studies": [Request("/studies?limit=25", JSON)],
        "metadata of a study": [Request(f"/studies/{one}/metadata", JSON) for one in studies],
        "frame": [Request(f"{one}/frames/1", FRAME) for one in instances],
        "rendered": [Request(f"{one}/rendered", "image/jpeg") for one in instances],
        "instance": [Request(one, OBJECT) for one in instances],
    }


def _listed(peer: Peer, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = orjson.loads(body_of(peer, Request(path, JSON)))
    return found


def _value(row: dict[str, Any], tag: str) -> str:
    return str(row[tag]["Value"][0])


def _print(found: dict[str, dict[str, Figures]]) -> None:
    print(f"{'':36}{'server':12}{'each s':>9}{'p50 ms':>9}{'CPU ms':>9}{'store':>8}{'MB':>7}")
    for row in found["ours"]:
        for at, (name, figures) in enumerate(found.items()):
            one = figures[row]
            print(
                f"{'' if at else row:36}{name:12}{one.rate:9.1f}{one.p50:9.2f}"
                f"{_told(one.cpu, 9, 2)}{_told(one.store_cpu, 8, 2)}{_told(one.memory, 7, 0)}"
            )


def _told(value: float | None, width: int, digits: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:{width}.{digits}f}"


if __name__ == "__main__":
    main()
