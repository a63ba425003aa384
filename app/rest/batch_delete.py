"""Deleting many studies in one request: each by itself, as one alone would be."""

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from app.archive import Archive
from app.doors import guarded
from app.rest.envelope import Code, Problem, Shape
from app.rest.studies import not_found
from app.rest.vocabulary import Uid
from fhir.deleting import delete_study
from fhir.errors import AccessDenied, ComplianceViolation, NotFound, ResourceError
from fhir.guarded import GuardedRepository

Failures = Callable[..., dict[int | str, dict[str, Any]]]
MOST_STUDIES: Final = 100


class BatchDeletion(BaseModel):
    """Which studies are to be deleted, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    studies: tuple[Uid, ...] = Field(
        min_length=1,
        max_length=MOST_STUDIES,
        description="StudyInstanceUIDs",
        examples=[["2.25.7"]],
    )
    reason: str | None = Field(
        None, description="1 to 500 characters, for each", examples=["Wrong patient"]
    )


class StudyResult(Shape):
    """What became of one study."""

    study_instance_uid: str
    deleted: bool
    restorable_until: datetime | None = Field(
        description="until when it can be restored; null: it is gone for good, or not deleted"
    )
    code: Code | None = Field(description="why it is not deleted", examples=["ACCESS_DENIED"])
    message: str | None = Field(description="what is wrong and what to do")


class BatchResults(Shape):
    """Every study of a request."""

    deleted: int
    kept: int
    results: list[StudyResult] = Field(description="in their order, each study once")


class BatchReceipt(Shape):
    """The answer to a batch. `success` is true if every study is deleted."""

    success: bool
    data: BatchResults
    error: Problem | None


def add_batch_delete(router: APIRouter, failures: Failures) -> None:
    """Add the route.

    Args:
        router: Behind the guard.
        failures: Documents how a route fails.
    """
    none = {"model": BatchReceipt, "description": "None is deleted; `data.results` says why"}

    @router.post(
        "/batch/delete",
        response_model=BatchReceipt,
        responses={
            **failures(400),
            207: {"model": BatchReceipt, "description": "Some are deleted, some are not"},
            403: none,
            404: none,
            409: none,
        },
    )
    async def delete_batch(request: Request, wanted: BatchDeletion) -> Response:
        """Delete studies with their images, each as by itself: it can be restored for a while.

        What may not be deleted, is not there or is held stays, and `data.results` says why.
        """
        archive: Archive = request.app.state.archive
        results, failed = [], []
        for study in dict.fromkeys(wanted.studies):
            result, error = await _delete(guarded(request), archive, study, wanted.reason)
            results.append(result)
            failed += [error] if error is not None else []
        status, answer = _receipt(results, failed)
        return JSONResponse(answer.model_dump(mode="json", by_alias=True), status_code=status)


async def _delete(
    repository: GuardedRepository, archive: Archive, study: str, reason: str | None
) -> tuple[StudyResult, ResourceError | None]:
    error: ResourceError
    try:
        until = await delete_study(repository, archive.custody, study, reason)
    except NotFound:
        error = not_found()
    except (AccessDenied, ComplianceViolation) as refusal:
        error = refusal
    else:
        done = {"study_instance_uid": study, "deleted": True, "restorable_until": until}
        return StudyResult.model_validate({**done, "code": None, "message": None}), None
    kept = {"study_instance_uid": study, "deleted": False, "restorable_until": None}
    said = {**kept, "code": error.code, "message": error.message}
    return StudyResult.model_validate(said), error


def _receipt(results: list[StudyResult], failed: list[ResourceError]) -> tuple[int, BatchReceipt]:
    """Give status and answer: 200 all deleted, 207 some; none: what is true for all, else 403."""
    deleted = len(results) - len(failed)
    data = BatchResults(deleted=deleted, kept=len(failed), results=results)
    if not failed:
        return HTTPStatus.OK, BatchReceipt(success=True, data=data, error=None)
    statuses = {one.status for one in failed}
    status = statuses.pop() if len(statuses) == 1 else int(HTTPStatus.FORBIDDEN)
    first = next((one for one in failed if one.status == status), failed[0])
    message = f"{len(failed)} of {len(results)} studies were not deleted; data.results says why"
    closed = first.coordinates if isinstance(first, AccessDenied) else ()
    details = {"coordinates": sorted(closed)} if closed else None
    error = Problem.model_validate({"code": first.code, "message": message, "details": details})
    return (
        int(HTTPStatus.MULTI_STATUS) if deleted else status,
        BatchReceipt(success=False, data=data, error=error),
    )
