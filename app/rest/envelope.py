"""The envelope of every answer below `/postdicom`."""

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Code = Literal[
    "INVALID_REQUEST",
    "INVALID_DICOM_FILE",
    "INVALID_CREDENTIALS",
    "ACCESS_DENIED",
    "STUDY_NOT_FOUND",
    "NOT_FOUND",
    "NOT_SUPPORTED",
    "NOT_ACCEPTABLE",
    "CONFLICT",
    "CHANGES_LOST",
    "TOO_LARGE",
    "UNSUPPORTED_MEDIA_TYPE",
    "RANGE_NOT_SATISFIABLE",
    "STORAGE_QUOTA_EXCEEDED",
    "NETWORK_ERROR",
    "CACHE_ERROR",
    "COMPLIANCE_VIOLATION",
    "RETENTION_POLICY_ERROR",
    "INTERNAL_ERROR",
]


def _as_written(name: str) -> str:
    # DICOM writes UID
    return to_camel(name).replace("Uid", "UID")


class Shape(BaseModel):
    """Base of what is written: camelCase outside, every member always there."""

    model_config = ConfigDict(alias_generator=_as_written, populate_by_name=True, frozen=True)


class Problem(Shape):
    """What went wrong."""

    code: Code = Field(description="stable, for programs")
    message: str = Field(
        description="what is wrong and what to do; never patient data",
        examples=["Your roles do not give the right to read Image.file."],
    )
    details: dict[str, Any] | None = Field(
        None,
        description="`coordinates`: the policy coordinates that were refused; `refused`: of a "
        "batch, what and why",
        examples=[{"coordinates": ["Image.file"]}],
    )


class Failure(Shape):
    """Any answer of status 4xx or 5xx."""

    success: Literal[False] = False
    error: Problem


class Metadata(Shape):
    """What is said about the data.

    It does not depend on the rows found, so that nothing can be learned from it.
    """

    refused: dict[str, list[str]] = Field(
        description="members that the policy closes to you, on some of these rows at least, each "
        "with the coordinates that it would need; they are null",
        examples=[{"patientName": ["ImagingStudy.subject.display"]}],
    )


class PageMetadata(Metadata):
    """What is said about one page of a list."""

    total_count: int = Field(description="rows that you may see, on all pages", examples=[57])
    page_size: int = Field(description="`limit` as asked for", examples=[20])
    current_page: int = Field(description="counted from 1, in pages of `limit`", examples=[1])
    has_more: bool = Field(description="whether a further page follows")


Data = TypeVar("Data")
About = TypeVar("About", bound=Metadata)


class Envelope(Shape, Generic[Data]):
    """A success."""

    success: Literal[True] = True
    data: Data


class Described(Envelope[Data], Generic[Data, About]):
    """A success with something said about it."""

    metadata: About


class Paging(BaseModel):
    """Which page is wanted; shared by the queries of lists."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(20, ge=1, le=100, description="rows a page")
    offset: int = Field(
        0,
        ge=0,
        le=10_000,
        description="rows to skip; to go further narrow by date, or follow the cursors of /fhir",
    )

    def metadata(
        self, total: int | None, *, more: bool, refused: dict[str, list[str]]
    ) -> PageMetadata:
        """Describe the page that was found."""
        return PageMetadata(
            total_count=total or 0,
            page_size=self.limit,
            current_page=self.offset // self.limit + 1,
            has_more=more,
            refused=refused,
        )
