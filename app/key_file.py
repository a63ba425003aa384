"""Files that hold a secret: made once, for whichever process is first, and for this user alone."""

import os
import secrets
from contextlib import suppress
from pathlib import Path


def create_key_file(path: Path, content: bytes) -> None:
    """Write a key so that it appears whole, and only if nobody else's has appeared."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first: its key is the key
            path.hardlink_to(draft)
    finally:
        draft.unlink()
