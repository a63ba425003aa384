"""Pseudonyms: keyed, the same within a project, and nothing without the key."""

import hmac
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

SYSTEM: Final = "https://radiograph.dev/fhir/pseudonym"
"""System of pseudonymous identifier values."""

Kind = Literal["uid", "patient", "number", "accession"]
"""What a pseudonym stands for: a DICOM UID, the id of a Patient, whose record number a number
is (its real value is the Patient's id, too), or an accession number."""

_NUMBER_BYTES = 7
_UUID_BYTES = 16


class Pseudonyms:
    """The pseudonyms of one project, by HMAC-SHA-256 under a key that is derived for it.

    Nothing can be computed from them or checked against them without the master key, and those of
    two projects have nothing in common.
    """

    def __init__(self, master: bytes, project: str, shift_days: int | None = None) -> None:
        """Derive the project's key.

        Args:
            master: Secret of 32 bytes or more.
            project: Its name; any text.
            shift_days: Most days that a patient's dates are moved by; None: there are no dates.
        """
        self.project: Final = project
        self._key = _digest(master, "project", project)
        self._shift_days = shift_days

    def uid(self, real: str) -> str:
        """Give the UID that stands for one, below 2.25 (PS3.5 B.2)."""
        return f"2.25.{int.from_bytes(self._bits('uid', real))}"

    def patient(self, real: str) -> str:
        """Give the FHIR id that stands for that of a Patient."""
        return str(uuid.UUID(bytes=self._bits("patient", real)))

    def number(self, patient: str) -> str:
        """Give the record number of the Patient with this id: 15 letters and digits."""
        return f"P{self._short('number', patient)}"

    def accession(self, real: str) -> str:
        """Give the number that stands for an accession number: 15 letters and digits."""
        return f"A{self._short('accession', real)}"

    def days(self, patient: str) -> int | None:
        """Say by how many days the dates of the Patient with this id are moved; never by 0."""
        most = self._shift_days
        if most is None:
            return None
        drawn = int.from_bytes(_digest(self._key, "days", patient)) % (2 * most)
        return drawn - most if drawn < most else drawn - most + 1

    def tag(self, sha256: str) -> str:
        """Give a digest of an object that nobody can compare with that of its stored bytes."""
        return _digest(self._key, "tag", f"{sha256} {self._shift_days}").hex()

    def _bits(self, kind: Kind, real: str) -> bytes:
        """Draw the bits of a UUID of our own making (RFC 9562 5.8)."""
        digest = bytearray(_digest(self._key, kind, real)[:_UUID_BYTES])
        digest[6] = digest[6] & 0x0F | 0x80
        digest[8] = digest[8] & 0x3F | 0x80
        return bytes(digest)

    def _short(self, kind: Kind, real: str) -> str:
        return _digest(self._key, kind, real)[:_NUMBER_BYTES].hex().upper()


def _digest(key: bytes, purpose: str, value: str) -> bytes:
    return hmac.digest(key, f"{purpose}\0{value}".encode(errors="surrogatepass"), "sha256")


@dataclass(frozen=True, slots=True)
class Disguise:
    """How one instance is de-identified.

    Attributes:
        patient: Id of whom it is about, as it is stored; another name where nobody is.
    """

    pseudonyms: Pseudonyms
    patient: str


class Register(Protocol):
    """What pseudonyms stand for, kept so that whoever was given one can ask by it."""

    async def save(self, project: str, given: Mapping[str, tuple[Kind, str]]) -> None:
        """Remember, durably, what pseudonyms of a project stand for: kind and real value."""
        ...

    async def real(self, project: str, asked: Collection[tuple[Kind, str]]) -> dict[str, str]:
        """Give the real values of those pseudonyms that were given out in a project as this kind.

        Args:
            project: Its name.
            asked: Kind and pseudonym of each.
        """
        ...
