"""Prints what one GraphQL request costs over HTTP, beside a constant answer and a stock router.

Run as `python -m tests.bench.graphql_http [SECONDS]`. Every server is a process of its own, with
the loop and the parser that we serve with; whoever asks is another. What counts is the processor
time of the server and of what it has started, so that nothing else on the machine decides; the
database is not of these.
"""

import asyncio
import gc
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import product
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any, cast

import orjson
import psutil
import strawberry
import uvicorn
import uvloop
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send
from strawberry.fastapi import GraphQLRouter

from app.archive import open_book
from app.embedded.mongod import EmbeddedDatabase
from app.graphql.budget import Budgets
from app.graphql.door import GraphQLDoor
from app.graphql.operating import Operator
from app.graphql.persisted import Operations
from app.settings import Settings
from app.store.database import open_database
from fhir.access import Access
from fhir.guarded import GuardedRepository
from fhir.repository import Record, Repository
from policies.caller import Caller
from schema.build import build_schema
from schema.context import Context
from tests.build import study
from tests.servers import free_ports
from tests.serving import serving

Server = tuple[int, int, str]
"""Its process, its port, and what it is to be sent as a token."""

STUDIES = 20
CONNECTIONS = 16
ENDLESS = 10**12
QUERIES = {
    "{__typename}": "{__typename}",
    "20 studies x 7 fields": """{studies(first: 20) {edges {node {
      id started status description numberOfSeries numberOfInstances modality {code}}}}}""",
}
CONSTANT, STOCK, STOCKED, DOOR, FULL = "constant", "stock", "stocked", "door", "full"
NAMES = {
    CONSTANT: "raw ASGI, a constant answer",
    STOCK: "Strawberry's GraphQLRouter, in memory",
    STOCKED: "the same router, with mongod alone",
    DOOR: "our door, in memory, no guard",
    FULL: "all of it: token, session, audit, mongod",
}
RESOURCES: list[dict[str, Any]] = [
    {
        "resourceType": "ImagingStudy",
        "id": f"1.2.{number}",
        "started": f"2024-05-{number + 1:02}T08:30:00+00:00",
        "status": "available",
        "description": f"CT chest {number}",
        "numberOfSeries": 3,
        "numberOfInstances": 150,
        "modality": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"}],
    }
    for number in range(STUDIES)
]


@strawberry.type
class Coding:
    code: str | None


@strawberry.type
class ImagingStudy:
    id: strawberry.ID
    started: str | None
    status: str | None
    description: str | None
    number_of_series: int | None
    number_of_instances: int | None
    modality: list[Coding] | None


@strawberry.type
class Edge:
    node: ImagingStudy


@strawberry.type
class Connection:
    edges: list[Edge]


@strawberry.type
class Query:
    @strawberry.field
    async def studies(self, info: strawberry.Info, first: int = 20) -> Connection:
        """Make objects of what is stored, as whoever uses Strawberry does."""
        found = RESOURCES[:first]
        kept = info.context["studies"]
        if kept is not None:
            wanted = [f"resource.{name}" for name in _FIELDS]
            cursor = kept.find({}, wanted, sort=[("_id", 1)], limit=first, batch_size=first + 1)
            found = [one["resource"] for one in await cursor.to_list(first)]
        return Connection(edges=[Edge(node=_object(one)) for one in found])


def _object(resource: dict[str, Any]) -> ImagingStudy:
    return ImagingStudy(
        id=strawberry.ID(resource["id"]),
        started=resource.get("started"),
        status=resource["status"],
        description=resource.get("description"),
        number_of_series=resource["numberOfSeries"],
        number_of_instances=resource["numberOfInstances"],
        modality=[Coding(code=one["code"]) for one in resource.get("modality", ())],
    )


class InMemory:
    """As much of a repository as the query needs."""

    def __init__(self) -> None:
        self._records = [Record(one["id"], one, 1, None) for one in RESOURCES]

    async def find(self, resource: str, *_: Any, limit: int, **__: Any) -> list[Record]:
        return self._records[:limit]

    async def count(self, *_: Any) -> int:
        return len(self._records)


class Unguarded:
    """Gives every request a repository that somebody may see all of, and asks nobody who it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._policy = open_book(Settings(), None).current
        self._caller = Caller("bench", frozenset({"radiologist"}))
        self._repository = cast("Repository", InMemory())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        access = Access(self._caller, self._policy)
        scope["state"] = {"guarded": GuardedRepository(self._repository, access)}
        await self._app(scope, receive, send)


async def constant(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as little as can be answered."""
    await receive()
    body = b'{"data":{"__typename":"Query"}}'
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def stock(database: str | None = None) -> ASGIApp:
    """Build what the documentation of Strawberry begins with.

    Args:
        database: Address of the one whose studies it reads; None: they are in memory.
    """

    async def context() -> dict[str, Any]:
        return {"studies": studies}

    studies: Any = None
    if database is not None:
        studies = open_database(database, "radiograph", timedelta(seconds=10))["studies"]
    app = FastAPI()
    router = GraphQLRouter[Any, None](strawberry.Schema(Query), context_getter=context)
    app.include_router(router, prefix="/graphql")
    return app


def door() -> ASGIApp:
    """Build our door, and nothing before it."""
    operator = Operator(
        build_schema(),
        Context,
        Operations({}, frozenset()),
        Budgets(ENDLESS, CONNECTIONS * 2),
        base_url="http://127.0.0.1",
        timeout=10,
    )
    return Unguarded(GraphQLDoor(operator, page=False))


APPS: dict[str, Callable[[], ASGIApp]] = {CONSTANT: lambda: constant, STOCK: stock, DOOR: door}
_FIELDS = (
    *("id", "started", "status", "description", "numberOfSeries", "numberOfInstances"),
    "modality.code",
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What the requests of some seconds took.

    Attributes:
        cpu: Microseconds of the server's processors for each.
        rate: Requests each second, on however much of a processor there was.
        p50: Milliseconds.
        p99: Milliseconds.
    """

    cpu: float
    rate: float
    p50: float
    p99: float


class Asking(asyncio.Protocol):
    """One connection: the same request again and again, as soon as it is answered."""

    def __init__(
        self, request: bytes, times: list[float], ended: asyncio.Future[None], over: asyncio.Event
    ) -> None:
        self._request = request
        self._times = times
        self._ended = ended
        self._over = over
        self.closed = asyncio.get_running_loop().create_future()
        self._answer = b""
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found:
            return
        _, _, length = head.lower().partition(b"content-length:")
        if len(body) < int(length.split(b"\r\n", 1)[0]):
            return
        if not head.startswith(b"HTTP/1.1 200") or b'"errors"' in body:
            problem = RuntimeError(self._answer[:500].decode(errors="replace"))
            if not self._ended.done():
                self._ended.set_exception(problem)
            return
        self._times.append(perf_counter() - self._began)
        if self._over.is_set():
            self._transport.close()
        else:
            self._ask()

    def _ask(self) -> None:
        self._answer = b""
        self._began = perf_counter()
        self._transport.write(self._request)


async def ask(
    pid: int, port: int, seconds: float, request: bytes, connected: int = CONNECTIONS
) -> Figures:
    """Ask over several connections, and see what it takes the server."""
    loop = asyncio.get_running_loop()
    times: list[float] = []
    ended: asyncio.Future[None] = loop.create_future()
    over = asyncio.Event()

    def asking() -> Asking:
        return Asking(request, times, ended, over)

    connections = [
        (await loop.create_connection(asking, "127.0.0.1", port))[1] for _ in range(connected)
    ]
    await asyncio.wait([ended], timeout=seconds / 4)
    times.clear()
    began, before = perf_counter(), _cpu(pid)
    await asyncio.wait([ended], timeout=seconds)
    elapsed, spent = perf_counter() - began, _cpu(pid)
    if ended.done():
        ended.result()
    over.set()
    each = sorted(times)
    await asyncio.gather(*(one.closed for one in connections))
    scale = 1e6 / len(each)
    return Figures(
        (spent - before) * scale,
        len(each) / elapsed,
        median(each) * 1e3,
        quantiles(each, n=100)[-1] * 1e3,
    )


def _cpu(pid: int) -> float:
    root = psutil.Process(pid)
    return sum(sum(one.cpu_times()[:2]) for one in (root, *root.children(recursive=True)))


def serve(kind: str, port: int, *database: str) -> None:
    """Serve one application as `app.serving` does."""
    app = stock(*database) if kind == STOCKED else APPS[kind]()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)
    uvicorn.run(
        app,
        port=port,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
    )


@asynccontextmanager
async def started(kind: str, *database: str) -> AsyncIterator[Server]:
    """Serve in another process."""
    [port] = free_ports(1)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __spec__.name, "serve", kind, str(port), *database
    )
    try:
        await _listens(port)
        yield process.pid, port, "none"
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def whole() -> AsyncIterator[tuple[Server, str]]:
    """Serve all of it, with as many studies in a database of its own; give that, too."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"graphql_concurrent": "1000", "graphql_cost_per_minute": str(ENDLESS)}
        async with (
            EmbeddedDatabase(Path(folder)) as kept,
            serving(Path(folder), **settings) as server,
        ):
            async with server.installation.opened() as archive:
                for number in range(STUDIES):
                    for data in study(1, 1, StudyInstanceUID=f"1.2.3.{number}"):
                        await archive.ingest.store(_once(data))
            port = int(server.url.rpartition(":")[2])
            yield (server.pid, port, server.issuer.token("radiologist")), kept.url


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _listens(port: int) -> None:
    for _ in range(600):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            await writer.wait_closed()
            return
    raise RuntimeError("a server does not start")


async def _asked(pid: int, port: int, token: str, query: str, seconds: float) -> Figures:
    body = orjson.dumps({"query": query})
    request = (
        f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Accept: application/json\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", __spec__.name, "ask", str(pid), str(port), str(seconds)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate(request)
    if process.returncode:
        raise RuntimeError("whoever asked has failed; see above")
    return Figures(**orjson.loads(out))


async def main(seconds: float) -> None:
    """Measure every server with every query, and print a table."""
    async with AsyncExitStack() as stack:
        servers = {kind: await stack.enter_async_context(started(kind)) for kind in APPS}
        servers[FULL], database = await stack.enter_async_context(whole())
        servers[STOCKED] = await stack.enter_async_context(started(STOCKED, database))
        found = {
            (kind, name): await _asked(*server, query, seconds)
            for (name, query), (kind, server) in product(QUERIES.items(), servers.items())
        }
    for name in QUERIES:
        print(f"\n{name}, {CONNECTIONS} connections")
        print(f"{'':42}{'us CPU':>9}{'/s core':>9}{'x const':>9}{'stock /':>9}", end="")
        print(f"{'/s':>9}{'p50 ms':>9}{'p99 ms':>9}")
        least, most = found[CONSTANT, name].cpu, found[STOCK, name].cpu
        for kind, said in NAMES.items():
            one = found[kind, name]
            print(
                f"{said:42}{one.cpu:9.0f}{1e6 / one.cpu:9.0f}{one.cpu / least:9.1f}"
                f"{most / one.cpu:9.1f}{one.rate:9.0f}{one.p50:9.2f}{one.p99:9.2f}"
            )


def _run(arguments: list[str]) -> None:
    match arguments:
        case ["serve", kind, port, *database]:
            serve(kind, int(port), *database)
        case ["ask", pid, port, seconds]:
            request = sys.stdin.buffer.read()
            figures = uvloop.run(ask(int(pid), int(port), float(seconds), request))
            print(orjson.dumps(asdict(figures)).decode())
        case [*given]:
            asyncio.run(main(float(given[0]) if given else 4.0))


if __name__ == "__main__":
    _run(sys.argv[1:])
