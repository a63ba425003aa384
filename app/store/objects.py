"""Opening the object store that the settings name."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from app.settings import Settings
from app.store.local import LocalObjects
from app.store.ports import ObjectStore
from app.store.s3 import S3Objects

POSSIBLE = "file:///absolute/folder or s3://bucket/prefix"


async def open_objects(settings: Settings) -> ObjectStore:
    """Open the store at `storage_url`; the caller closes it.

    Raises:
        ValueError: The URL names no store; the message says what is possible.
        StoreUnreachable: A folder cannot be made. Other stores are not asked: see `check`.
    """
    if settings.storage_url is None:
        return await LocalObjects.open((settings.data_dir / "objects").absolute())
    url = urlsplit(settings.storage_url)
    if url.query or url.fragment or "@" in url.netloc:
        raise ValueError(f"a storage URL is {POSSIBLE} and nothing more")
    match url.scheme:
        case "file" if url.netloc in {"", "localhost"} and url.path.startswith("/"):
            return await LocalObjects.open(Path(unquote(url.path)))
        case "s3" if url.netloc:
            return await S3Objects.open(settings, url.netloc, url.path.strip("/"))
        case _:
            raise ValueError(f"no object store at {url.scheme}://…: use {POSSIBLE}")
