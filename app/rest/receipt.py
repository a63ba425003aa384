"""The answer to an upload: what became of each file, and the status that is true for all."""

from pydantic import Field

from app.imaging.outcome import Status
from app.rest.envelope import Code, Problem, Shape
from app.rest.uploads import Received, Upload
from fhir.errors import Invalid, ResourceError


class FileResult(Shape):
    """One uploaded file."""

    position: int = Field(description="of its part in the form, from 1")
    filename: str | None = Field(description="as it was sent, without folders; kept nowhere")
    entry: str | None = Field(description="path within the zip file that was sent")
    status: Status = Field(
        description="duplicate: the same bytes were stored already; conflict: other bytes, or "
        "another patient, are stored under this UID; refused: nothing that can be held"
    )
    reason: str = Field(description="slug; empty if stored", examples=["not-dicom"])
    message: str = Field(description="what is wrong and what to do")
    study_instance_uid: str | None
    sop_instance_uid: str | None
    size: int = Field(description="bytes")
    warnings: list[str] = Field(description="what was odd and tolerated")


class Results(Shape):
    """Every file of a request."""

    received: int
    stored: int = Field(description="new in the archive")
    duplicates: int
    rejected: int = Field(description="conflicts and refused files")
    results: list[FileResult] = Field(description="in their order")


class Receipt(Shape):
    """The answer to an upload. `success` is true if every file is in the archive."""

    success: bool
    data: Results
    error: Problem | None


def receipt(upload: Upload, problem: ResourceError | None) -> tuple[int, Receipt]:
    """Give status and answer: 201 all kept, 207 some; 400, 409 or 413 none.

    Args:
        upload: Settled.
        problem: Why the body could not be read to its end, if so.
    """
    received = upload.received
    kept = sum(one.outcome.kept for one in received)
    stored = sum(one.outcome.status == "stored" for one in received)
    if not received and problem is None:
        problem = Invalid(
            "the form holds no file; send each as a part with a filename in multipart/form-data"
        )
    data = Results(
        received=len(received),
        stored=stored,
        duplicates=kept - stored,
        rejected=len(received) - kept,
        results=[_result(one) for one in received],
    )
    status, error = 201, None
    if problem is not None:
        status, error = (
            problem.status,
            Problem.model_validate({"code": problem.code, "message": problem.message}),
        )
    elif kept < len(received):
        status, error = _rejected(received, kept)
    return 207 if error and kept else status, Receipt(success=error is None, data=data, error=error)


def _rejected(received: list[Received], kept: int) -> tuple[int, Problem]:
    failed = [one.outcome for one in received if not one.outcome.kept]
    code: Code = "INVALID_DICOM_FILE"
    status = 400
    if all(one.status == "conflict" for one in failed):
        code, status = "CONFLICT", 409
    elif all(one.reason == "too-large" for one in failed):
        code, status = "TOO_LARGE", 413
    counted = f"{len(failed)} of {len(received)} files"
    message = (
        f"{counted} were not stored; data.results says why"
        if kept or len(failed) > 1
        else (f"the file was not stored: {failed[0].message}")
    )
    return status, Problem(code=code, message=message, details=None)


def _result(one: Received) -> FileResult:
    outcome = one.outcome
    return FileResult(
        position=one.position,
        filename=one.filename,
        entry=one.entry,
        status=outcome.status,
        reason=outcome.reason,
        message=outcome.message,
        study_instance_uid=outcome.study,
        sop_instance_uid=outcome.instance,
        size=outcome.size,
        warnings=list(outcome.warnings),
    )
