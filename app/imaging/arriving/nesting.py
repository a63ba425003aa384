"""Where in the nesting of sequences an arriving data set is read."""

from typing import Any

from app.imaging.arriving.values import Context


class DataSet(Context):
    """A data set being read: the object's own, or that of an item."""

    __slots__ = ("attributes", "disordered", "end", "implicit", "last", "limit")

    def __init__(self, parent: Context, *, implicit: bool, end: int | None, limit: int) -> None:
        super().__init__(parent.notes, big=parent.big)
        self.encodings = parent.encodings
        self.attributes: dict[str, Any] = {}
        self.implicit = implicit
        self.end = end
        self.limit = limit
        self.last = -1
        self.disordered = False


class Sequence:
    """A sequence whose items are being read."""

    __slots__ = ("element", "end", "items", "limit", "parent")

    def __init__(self, parent: DataSet, end: int | None, limit: int) -> None:
        self.parent = parent
        self.items: list[dict[str, Any]] = []
        self.element: dict[str, Any] = {"vr": "SQ"}
        self.end = end
        self.limit = limit


class Fragments:
    """Encapsulated bytes below the top level, as those of an icon are."""

    __slots__ = ("element", "kept", "limit", "start")

    def __init__(self, vr: str, start: int, limit: int) -> None:
        self.element: dict[str, Any] = {"vr": vr}
        self.kept: bytes | None = b""
        self.start = start
        self.limit = limit


Frame = DataSet | Sequence | Fragments
"""What can be open: they alternate, a data set at the bottom."""
