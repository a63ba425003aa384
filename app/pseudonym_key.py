"""The key of all pseudonyms: from the settings, or made once and kept in the data folder."""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from app.settings import PSEUDONYM_KEY_BYTES, Settings
from fhir.errors import Invalid

KEY_FILE: Final = "pseudonyms.key"


def pseudonym_key(settings: Settings) -> bytes:
    """Give the key; processes that start together end up with one.

    Raises:
        Invalid: The file in the data folder is not a key.
    """
    if settings.pseudonym_key is not None:
        return settings.pseudonym_key.get_secret_value().encode()
    path = settings.data_dir / KEY_FILE
    if not path.exists():
        _create(path)
    key = path.read_bytes()
    if len(key) < PSEUDONYM_KEY_BYTES:
        raise Invalid(f"{path} is not a key; put back the one that pseudonyms were made with")
    return key


def _create(path: Path) -> None:
    """Write a new key so that it appears whole, and only if nobody else's has appeared."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(PSEUDONYM_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first: its key is the key
            path.hardlink_to(draft)
    finally:
        draft.unlink()
