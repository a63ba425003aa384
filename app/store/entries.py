"""What lies in the database: records as they are stored, instances and claims as they arrive."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, Self, TypeAlias

import bson
import orjson
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from fhir.parameters import index, sort_keys

Encoded: TypeAlias = RawBSONDocument
Entered = Literal["entered", "known", "unfit"]

_LARGEST: Final = 16 * 2**20 - 2**14  # MongoDB's limit of a document, and room for a command


class Unfit(Exception):
    """The database cannot hold a header: it is too large, too deep, or has impossible values."""


@dataclass(frozen=True, slots=True)
class SeriesCount:
    """One series as its instances are: counted, with the instance that speaks for it.

    Attributes:
        representative: The smallest SOP Instance UID, whatever the order of arrival.
        laterality: ImageLaterality that every instance says; None if they differ.
    """

    uid: str
    instances: int
    representative: str
    laterality: str | None


@dataclass(frozen=True, slots=True)
class Claim:
    """To whom a study belongs.

    Attributes:
        id: Of this life of the study; another one if it is deleted and comes again.
        patient_key: The most telling of its instances' keys.
        deleting: Whether it is being removed.
        kept_until: Until when it is deleted and can come back; None if it is not deleted.
        mixed: Whether instances say the same patient in different words.
        lease: Under which it was claimed; None once it has a record.
    """

    id: str
    patient_key: str
    deleting: bool
    mixed: bool
    lease: str | None
    kept_until: datetime | None = None

    @property
    def gone(self) -> bool:
        """Whether nothing can be added to the study: it is deleted, or being removed."""
        return self.deleting or self.kept_until is not None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read a study's document."""
        return cls(
            document["claim"],
            document["patientKey"],
            "deleting" in document,
            document.get("mixed", False),
            document.get("lease"),
            document.get("deleted", {}).get("until"),
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of an instance that arrives.

    Attributes:
        sha256: Of the stored bytes; None if it is not stored.
        object: Key of the stored bytes.
        claim: On its study; None if there is none.
    """

    sha256: str | None
    object: str | None
    claim: Claim | None


def encoded(instance: Mapping[str, Any], header: Mapping[str, Any]) -> Encoded:
    """Put an instance into the database's form, its header as the text of its DICOM JSON.

    The text is served as it is, and read many times as fast as a document of documents.

    Args:
        instance: Everything else of it.
        header: DICOM JSON of what comes before its pixel data.

    Raises:
        Unfit: It cannot be.
    """
    try:
        document = RawBSONDocument(bson.encode({**instance, "header": orjson.dumps(header)}))
    except (BSONError, OverflowError, TypeError, UnicodeError, RecursionError) as error:
        raise Unfit from error
    if len(document.raw) > _LARGEST:
        raise Unfit
    return document


def stored(resource: Mapping[str, Any], version: int) -> dict[str, Any]:
    """Write a record as it is stored, now: with its version, and with what it is searched by."""
    now = datetime.now(UTC)
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # what MongoDB keeps
    meta = {
        **resource.get("meta", {}),
        "versionId": str(version),
        "lastUpdated": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    complete = {**resource, "meta": meta}
    return {
        "resource": complete,
        "index": index(complete),
        "keys": sort_keys(complete),
        "version": version,
        "lastUpdated": now,
    }
