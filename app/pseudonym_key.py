"""The key of all pseudonyms: from the settings, or made once and kept in the data folder."""

import secrets
from typing import Final

from app.key_file import create_key_file
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
        create_key_file(path, secrets.token_bytes(PSEUDONYM_KEY_BYTES))
    key = path.read_bytes()
    if len(key) < PSEUDONYM_KEY_BYTES:
        raise Invalid(f"{path} is not a key; put back the one that pseudonyms were made with")
    return key
