"""Every expected failure, one class per thing a caller can do something about.

They become HTTP or GraphQL once, at the edge. Texts never hold patient values.
"""

from typing import ClassVar


class ResourceError(Exception):
    """Base of every expected failure.

    Attributes:
        issue: FHIR IssueType code.
        code: Stable upper-case code of the REST envelope and of GraphQL's `extensions.code`.
        status: HTTP status code.
    """

    issue: ClassVar[str] = "processing"
    code: ClassVar[str] = "PROCESSING"
    status: ClassVar[int] = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Invalid(ResourceError):
    """The request cannot be understood; the message says what to write instead."""

    issue = "invalid"
    code = "INVALID_REQUEST"
    status = 400


class NotSupported(Invalid):
    """The request is understood and names something this server does not do."""

    issue = "not-supported"
    code = "NOT_SUPPORTED"


class Unauthenticated(ResourceError):
    """No token, or one that does not hold."""

    issue = "login"
    code = "INVALID_CREDENTIALS"
    status = 401


class AccessDenied(ResourceError):
    """The policy says no.

    Attributes:
        coordinates: Policy coordinates that were refused (`Patient.name`).
    """

    issue = "forbidden"
    code = "ACCESS_DENIED"
    status = 403

    def __init__(self, message: str, coordinates: frozenset[str] = frozenset()) -> None:
        super().__init__(message)
        self.coordinates = coordinates


class Withheld(AccessDenied):
    """An instance does not leave the archive without identity, whatever the policy says."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"This instance cannot be given out de-identified: {reason}.",
            frozenset({"Image.file", "Image.pixels"}),
        )


class NotFound(ResourceError):
    """Nothing is there, or nothing the caller may know of."""

    issue = "not-found"
    code = "NOT_FOUND"
    status = 404


class NotAcceptable(ResourceError):
    """No representation that the caller accepts."""

    issue = "not-supported"
    code = "NOT_ACCEPTABLE"
    status = 406


class Conflict(ResourceError):
    """Something else is stored already."""

    issue = "conflict"
    code = "CONFLICT"
    status = 409


class ComplianceViolation(Conflict):
    """A rule that the law makes forbids it; the message says who may lift it."""

    issue = "business-rule"
    code = "COMPLIANCE_VIOLATION"


class KeyReused(Conflict):
    """An idempotency key that stands for something else already."""

    code = "IDEMPOTENCY_KEY_REUSED"

    def __init__(self) -> None:
        super().__init__("this idempotencyKey was sent with other arguments before; make a new one")


class TooLarge(ResourceError):
    """More than a limit allows; the message names the limit."""

    issue = "too-long"
    code = "TOO_LARGE"
    status = 413


class UnsupportedMedia(ResourceError):
    """A body of a type that this door does not take."""

    issue = "not-supported"
    code = "UNSUPPORTED_MEDIA_TYPE"
    status = 415


class Unavailable(ResourceError):
    """A dependency does not answer; the same request may succeed later."""

    issue = "transient"
    code = "UNAVAILABLE"
    status = 503


class Broken(ResourceError):
    """Our fault; the log knows more by the request id."""

    issue = "exception"
    code = "INTERNAL_ERROR"
    status = 500

    def __init__(self) -> None:
        super().__init__("something went wrong here; the log has it under this X-Request-Id")
