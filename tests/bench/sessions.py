"""Prints what sessions add to a cheap request: the same one with and without, in turn.

Run as `python -m tests.bench.sessions`; it starts a database of its own.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import httpx

from app.archive import open_archive
from app.identity.development import DevelopmentIssuer
from app.identity.sessions import Sessions
from app.identity.signin import SignIn
from app.main import create_app
from app.settings import Settings

BATCHES, REQUESTS = 40, 25
CHEAP = "/fhir/ImagingStudy?_count=1"


class Without(Sessions):
    """No sessions: everybody whose token holds is let in."""

    async def enter(self, sign_in: SignIn, address: str | None) -> None:
        """Let in."""


async def main() -> None:
    """Measure requests, then sign-ins."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.model_validate(
            {"data_dir": Path(folder), "policy_dir": "policies", "development_issuer": True}
        )
        async with open_archive(settings) as archive:
            issuer = DevelopmentIssuer(settings.data_dir)
            free = Without.__new__(Without)
            with_them = create_app(settings, archive)
            without = create_app(settings, replace(archive, sessions=free))
            headers = {"Authorization": f"Bearer {issuer.token('radiologist')}"}
            async with _client(with_them, headers) as one, _client(without, headers) as other:
                await _compare(lambda: _get(one), lambda: _get(other))
            async with _client(with_them, {}) as one:
                await _sign_ins(one, settings)


def _client(app: object, headers: dict[str, str]) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]  # any ASGI application
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", headers=headers)


async def _get(client: httpx.AsyncClient) -> None:
    answer = await client.get(CHEAP)
    assert answer.status_code == 200, answer.text


async def _compare(
    with_them: Callable[[], Awaitable[None]], without: Callable[[], Awaitable[None]]
) -> None:
    figures: dict[str, list[tuple[float, float]]] = {"with": [], "without": []}
    for number in range(BATCHES):
        pair = [("with", with_them), ("without", without)]
        for name, request in pair if number % 2 else reversed(pair):
            began, cpu = perf_counter(), process_time()
            for _ in range(REQUESTS):
                await request()
            spent = ((perf_counter() - began) / REQUESTS, (process_time() - cpu) / REQUESTS)
            if number:
                figures[name].append(spent)
    found = {
        name: [median(one[kind] for one in all_of) * 1000 for kind in (0, 1)]
        for name, all_of in figures.items()
    }
    for kind, name in enumerate(("time", "CPU ")):
        one, other = found["with"][kind], found["without"][kind]
        said = f"with {one:5.2f} ms  without {other:5.2f} ms"
        print(f"a request, {name}  {said}  added {one - other:5.2f} ms  ratio {one / other:4.2f}")


async def _sign_ins(client: httpx.AsyncClient, settings: Settings) -> None:
    times = []
    for _ in range(60):
        token = DevelopmentIssuer(settings.data_dir).token("radiologist", subject="newcomer")
        began = perf_counter()
        answer = await client.get(CHEAP, headers={"Authorization": f"Bearer {token}"})
        times.append((perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.text
    print(f"a request that signs in, one too many  p50 {median(times):5.1f} ms")


if __name__ == "__main__":
    asyncio.run(main())
