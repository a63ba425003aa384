"""Is it alive, and is everything there that it needs?"""

import asyncio
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app.archive import Archive
from app.store.ports import StoreUnreachable


@dataclass(frozen=True, slots=True)
class Check:
    """One dependency as it is now."""

    name: str
    ok: bool
    message: str


async def checks(archive: Archive) -> list[Check]:
    """Try every dependency."""
    return list(await asyncio.gather(_database(archive), _objects(archive), _policy(archive)))


async def _database(archive: Archive) -> Check:
    problem = await archive.ledger.problem()
    return Check("database", problem is None, problem or "answers")


async def _objects(archive: Archive) -> Check:
    try:
        await archive.objects.check()
    except StoreUnreachable as error:
        return Check("storage", False, error.message)
    return Check("storage", True, "can be read and written")


async def _policy(archive: Archive) -> Check:
    status = archive.book.status
    version = archive.book.current.version
    if status.ok:
        return Check("policy", True, f"version {version} is in force")
    said = "; ".join(str(problem) for problem in status.problems[:3])
    return Check("policy", False, f"the edit was refused, version {version} is in force: {said}")


def health_routes() -> APIRouter:
    """Give `/health` (the process answers) and `/ready` (so does what it stands on)."""
    router = APIRouter(tags=["health"])

    @router.get("/health")
    async def health() -> dict[str, str]:
        """Answer as long as the process lives."""
        return {"status": "ok"}

    @router.get("/ready")
    async def ready(request: Request) -> JSONResponse:
        """Try the database, the storage and the policy; 503 if one of them fails."""
        found = await checks(request.app.state.archive)
        # a refused edit leaves a policy in force: worth seeing, no reason to take traffic away
        ok = all(check.ok for check in found if check.name != "policy")
        body = {
            "status": "ok" if ok else "unavailable",
            "checks": {check.name: {"ok": check.ok, "message": check.message} for check in found},
        }
        return JSONResponse(body, status_code=200 if ok else 503)

    return router
