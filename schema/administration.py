"""Looking after the policy: what the roots about it give, and what saving it does.

Whoever may read its words may have them checked and explained. A policy has no rows, so what is
open on some rows only is closed here.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fhir.access import Action, Entry
from fhir.errors import Conflict, Invalid, NotSupported, ResourceError
from fhir.sight import always
from policies.errors import LockedOut, PolicyChanged, PolicyError
from policies.files import FILES
from schema.context import Change
from schema.desk import Desk, Kept
from schema.errors import PolicyRefused
from schema.policy import MOST_VERSIONS

Json = Any
MOST_NOTE = 500


async def policy(change: Change) -> dict[str, Json]:
    """Give the policy as the caller may read it."""
    require(change, "Policy.id")
    return await _shown(change)


async def check_policy(change: Change) -> dict[str, Json]:
    """Look at files that are not saved."""
    require(change, "Policy.text")
    found = await _desk(change).examine(_texts(change))
    _note(change, "read", "allowed")
    return {
        "ok": found.usable,
        "problems": [asdict(one) for one in found.problems],
        "changes": None if found.changes is None else list(found.changes),
    }


async def save_policy(change: Change) -> dict[str, Json]:
    """Replace files, if nobody was quicker, they can be used, and the caller can save again.

    Raises:
        Conflict: The folder holds something else than the caller began with.
        PolicyRefused: The files cannot be used, or would lock the caller out.
        Invalid: A file is none of a policy, or the note is too long.
    """
    require(change, "Policy.text", "update")
    require(change, "Policy.text")
    texts, note = _texts(change), change.arguments.get("note")
    if note is not None and len(note) > MOST_NOTE:
        raise Invalid(f"note: at most {MOST_NOTE} characters")
    expected, caller = change.arguments["expectedEdition"], change.guarded.access.caller
    try:
        await _desk(change).save(texts, expected, caller, note)
    except (PolicyChanged, PolicyError, LockedOut, ResourceError) as error:
        _note(change, "update", "failed")
        raise _refusal(error) from None
    _note(change, "update", "allowed")
    return await _shown(change)


def require(change: Change, coordinate: str, action: Action = "read") -> None:
    """Refuse, and record, unless something about the policy is open.

    Raises:
        AccessDenied: It is not.
    """
    access = change.guarded.access
    access.require(coordinate, action)
    if not always(access, coordinate, action):
        access.refuse(action, "Policy", {coordinate})


def _refusal(error: Exception) -> ResourceError:
    match error:
        case ResourceError():
            return error
        case PolicyChanged():
            return Conflict(
                "Somebody else changed the policy meanwhile; read it again and begin with that."
            )
        case PolicyError():
            said = "The policy cannot be used like this; nothing was saved."
            return PolicyRefused("POLICY_UNUSABLE", said, [asdict(one) for one in error.problems])
    return PolicyRefused("POLICY_LOCKS_OUT", f"Nothing was saved: {error}.", [])


async def _shown(change: Change) -> dict[str, Json]:
    access, desk = change.guarded.access, _desk(change)
    found = await desk.folder()
    shown: dict[str, Json] = {
        "id": found.version,
        "edition": found.edition,
        "ok": found.ok,
        "loaded": found.when.isoformat(timespec="milliseconds"),
    }
    words = always(access, "Policy.text")
    if words:
        shown["text"] = _files(found.texts)
        shown["problems"] = [asdict(one) for one in found.problems]
    if "Policy.history" in change.elements and always(access, "Policy.history"):
        kept = await desk.history(MOST_VERSIONS)
        shown["history"] = [_version(one, words=words) for one in kept]
    _note(change, "read", "allowed")
    return shown


def _version(kept: Kept, *, words: bool) -> dict[str, Json]:
    return {
        "edition": kept.edition,
        "version": kept.version,
        "at": kept.at.isoformat(timespec="milliseconds"),
        "by": kept.by or "file",
        "note": kept.note,
        "files": _files(kept.texts) if words else None,
    }


def _files(texts: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "text": texts[name]} for name in FILES if name in texts]


def _texts(change: Change) -> dict[str, str]:
    texts: dict[str, str] = {}
    for one in change.arguments["files"]:
        if one["name"] not in FILES:
            raise Invalid(f"files: a policy has {', '.join(FILES)}")
        if one["name"] in texts:
            raise Invalid(f"files: {one['name']} is there twice")
        texts[one["name"]] = one["text"]
    if not all(_is_text(text) for text in texts.values()):
        raise Invalid("files: not Unicode text")
    return texts


def _is_text(text: str) -> bool:
    return text == text.encode(errors="ignore").decode()


def _desk(change: Change) -> Desk:
    if change.context.desk is None:
        raise NotSupported("The policy cannot be looked after here.")
    return change.context.desk


def _note(change: Change, action: Action, outcome: Any) -> None:
    access = change.guarded.access
    access.note(Entry(action, "Policy", outcome, ids=(access.policy.version,), total=1))
