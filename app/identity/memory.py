"""What is known of tokens whose signature held: the same bytes under the same key hold again.

That, and what the claims say, is all that is remembered. Whether a token holds now is asked anew
each time: whether its key is still its issuer's, and whether this is its time.
"""

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from app.identity.keys import PublicKey
from app.identity.signin import SignIn
from policies.caller import Caller

MOST: Final = 4096


@dataclass(frozen=True, slots=True)
class Span:
    """When a token holds.

    Attributes:
        begins: The first moment, in seconds since 1970; the clocks' skew is not counted.
        ends: The first moment after.
    """

    begins: float
    ends: float


@dataclass(frozen=True, slots=True)
class Known:
    """What a token said whose signature held.

    Attributes:
        issuer: Its `iss`.
        kid: Of its header.
        key: The key under which it held.
    """

    issuer: str
    kid: str | None
    algorithm: str
    key: PublicKey | bytes
    span: Span
    caller: Caller
    sign_in: SignIn


class Memory:
    """The tokens that were seen last, known by their SHA-256: what is stored opens nothing."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[bytes, Known] = OrderedDict()

    def find(self, token: str) -> Known | None:
        """Give what is known of a token, or None."""
        digest = sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None:
            self._known.move_to_end(digest)
        return known

    def keep(self, token: str, known: Known) -> None:
        """Remember a token that holds; the one that was not seen for longest may be forgotten."""
        self._known[sha256(token.encode()).digest()] = known
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def forget(self) -> None:
        """Remember nothing."""
        self._known.clear()
