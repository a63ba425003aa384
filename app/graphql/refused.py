"""What the GraphQL door refuses before an operation runs, besides what every door does."""

from typing import ClassVar

from fhir.errors import Invalid, NotSupported, ResourceError


class WrongMethod(NotSupported):
    """Not by this method.

    Attributes:
        allow: Methods that will do, as the header names them.
    """

    status = 405

    def __init__(self, message: str, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class CrossSite(ResourceError):
    """A browser sends it for a page, without a script asking for it."""

    issue = "forbidden"
    code = "CROSS_SITE_REQUEST"
    status = 403

    def __init__(self) -> None:
        super().__init__("A query by GET comes from a script (fetch), not from a link or a page.")


class UnknownDocument(Invalid):
    """No trusted document has this name."""

    code = "DOCUMENT_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("documentId: the server's manifest has no document of this hash")


class PersistedQueryNotFound(Invalid):
    """Nobody registered a text of this hash, in this process, lately."""

    code = "PERSISTED_QUERY_NOT_FOUND"
    # what clients of automatic persisted queries expect, and answer by sending the text
    status = 200

    def __init__(self) -> None:
        super().__init__("PersistedQueryNotFound")  # the very word that clients look for


class HashMismatch(Invalid):
    """A text that does not have the hash it is sent with."""

    code = "PERSISTED_QUERY_HASH_MISMATCH"

    def __init__(self) -> None:
        super().__init__("persistedQuery.sha256Hash: not the SHA-256 of the query, in hex")


class PersistedOnly(ResourceError):
    """The caller's role may send trusted documents and nothing else."""

    issue = "forbidden"
    code = "PERSISTED_ONLY"
    status = 403

    def __init__(self) -> None:
        super().__init__(
            "Your role sends operations of the server's manifest only: name one by documentId."
        )


class Later(ResourceError):
    """The caller has asked for enough, for now.

    Attributes:
        seconds: After which it is worth trying again.
    """

    issue = "throttled"
    status = 429
    code: ClassVar[str]

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


class BudgetExceeded(Later):
    """Too many objects in a minute."""

    code = "BUDGET_EXCEEDED"


class TooManyOperations(Later):
    """Too many operations at once."""

    code = "TOO_MANY_OPERATIONS"


class TimedOut(ResourceError):
    """A query that took too long; what it began in the database is ended."""

    issue = "timeout"
    code = "TIMEOUT"
    status = 503

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The query took longer than {seconds:g} s and was ended; ask for less.")


class ChangesLost(ResourceError):
    """What a subscription missed is not told any more."""

    issue = "not-found"
    code = "CHANGES_LOST"
    status = 410

    def __init__(self) -> None:
        super().__init__(
            "Too much has changed since then: read again what you show, and subscribe without "
            "`after`."
        )


class TooManyListeners(ResourceError):
    """More at the same time than one caller may listen to."""

    issue = "throttled"
    code = "TOO_MANY_SUBSCRIPTIONS"
    status = 429


class TooSlow(ResourceError):
    """A client does not take what it subscribed to."""

    issue = "throttled"
    code = "TOO_SLOW"
    status = 429

    def __init__(self) -> None:
        super().__init__("Events were not taken in time: subscribe again, with `after`.")
