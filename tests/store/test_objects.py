"""Opening object stores by URL, and what an S3 store says and does when its server fails."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.settings import Settings
from app.store.local import LocalObjects
from app.store.objects import open_objects
from app.store.ports import ObjectStore, StoreUnreachable
from app.store.s3 import S3Objects
from tests.servers import S3Server


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def opened(settings: Settings, **changes: object) -> ObjectStore:
    return await open_objects(settings.model_copy(update=changes))


async def test_without_url_objects_lie_in_the_data_folder(tmp_path: Path) -> None:
    store = await open_objects(Settings.model_validate({"data_dir": tmp_path / "data"}))
    await store.put("ab/k", pieces(b"0"))

    assert isinstance(store, LocalObjects)
    assert (tmp_path / "data" / "objects" / "ab" / "k").read_bytes() == b"0"


async def test_a_file_url_is_a_folder_with_any_characters(tmp_path: Path) -> None:
    url = (tmp_path / "with space").as_uri()
    store = await open_objects(Settings.model_validate({"storage_url": url}))
    await store.put("k", pieces(b"0"))

    assert url.endswith("with%20space")
    assert (tmp_path / "with space" / "k").read_bytes() == b"0"


async def test_an_s3_url_is_a_bucket_and_a_prefix(s3: S3Server, s3_settings: Settings) -> None:
    store = await opened(s3_settings, storage_url=f"s3://{s3.bucket}/some/prefix/")
    await store.put("k", pieces(b"0"))
    await store.close()
    client = s3.client()
    found = client.list_objects_v2(Bucket=s3.bucket, Prefix="some/")["Contents"]
    client.delete_object(Bucket=s3.bucket, Key="some/prefix/k")
    client.close()

    assert isinstance(store, S3Objects)
    assert [item["Key"] for item in found] == ["some/prefix/k"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://host/folder", "no object store at ftp://"),
        ("relative/folder", "no object store at ://"),
        ("file://relative/folder", "no object store at file://"),
        ("s3:///prefix", "no object store at s3://"),
        ("s3://key:secret@bucket", "and nothing more"),
        ("s3://bucket/prefix?region=x", "and nothing more"),
    ],
)
async def test_another_url_is_refused_with_what_is_possible(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        await open_objects(Settings.model_validate({"storage_url": url}))
    assert "file:///absolute/folder or s3://bucket/prefix" in str(refusal.value)
    assert "secret" not in str(refusal.value)


async def test_a_folder_that_cannot_be_made_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = Settings.model_validate({"storage_url": f"file://{tmp_path}/file/objects"})
    with pytest.raises(StoreUnreachable, match=r"^the folder .+ fails: Not a directory$"):
        await open_objects(settings)


async def test_a_folder_that_vanished_does_not_check_well(tmp_path: Path) -> None:
    settings = Settings.model_validate({"storage_url": f"file://{tmp_path}/objects"})
    store = await open_objects(settings)
    (tmp_path / "objects" / ".partial").rmdir()
    (tmp_path / "objects").rmdir()
    (tmp_path / "objects").touch()

    with pytest.raises(StoreUnreachable, match=r"^the folder .+ fails: "):
        await store.check()
    with pytest.raises(StoreUnreachable, match=r"^the folder .+ fails: "):
        await store.put("k", pieces(b"0"))


async def everything(store: ObjectStore) -> list[str]:
    """What each method raises, as text."""

    async def listed() -> None:
        async for _ in store.list():
            pass

    messages = []
    for call in (
        store.check(),
        store.put("k", pieces(b"0")),
        store.read("k", 0, 1),
        store.delete("k"),
        listed(),
    ):
        with pytest.raises(StoreUnreachable) as refusal:
            await call
        messages.append(str(refusal.value))
    await store.close()
    return messages


async def test_a_wrong_secret_is_said(s3_settings: Settings) -> None:
    wrong = Settings.model_validate({"storage_secret_key": "wrong"}).storage_secret_key
    messages = await everything(await opened(s3_settings, storage_secret_key=wrong))
    expected = "the object store refuses the bucket radiograph to us: SignatureDoesNotMatch"
    assert messages == [expected] * 5


async def test_a_bucket_that_is_not_there_is_said(s3_settings: Settings) -> None:
    messages = await everything(await opened(s3_settings, storage_url="s3://another"))
    assert messages == ["the bucket another of the object store does not exist"] * 5


async def test_a_server_that_does_not_answer_is_said(s3_settings: Settings) -> None:
    nowhere = await asyncio.start_server(lambda *_: None, host="127.0.0.1", port=0)
    port = nowhere.sockets[0].getsockname()[1]
    nowhere.close()
    await nowhere.wait_closed()
    store = await opened(s3_settings, storage_endpoint=f"http://127.0.0.1:{port}")
    with pytest.raises(
        StoreUnreachable,
        match=r"^the object store does not answer: Could not connect to the endpoint URL$",
    ):
        await store.check()
    await store.close()


async def test_an_answer_that_breaks_off_is_taken_up_where_it_broke(
    s3: S3Server, s3_settings: Settings
) -> None:
    body = b"".join(index.to_bytes(4) for index in range(2**18))
    answers = 0

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on; break the first two answers after 300 kB."""
        nonlocal answers
        port = urlsplit(s3.endpoint).port
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        forward = asyncio.create_task(pump(reader, to_server))
        answers += 1
        await pump(from_server, writer, 300_000 if answers <= 2 else None)
        forward.cancel()
        to_server.close()

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None = None
    ) -> None:
        passed = 0
        while piece := await reader.read(50_000):
            writer.write(piece)
            await writer.drain()
            passed += len(piece)
            if limit is not None and passed >= limit:
                break
        writer.close()

    direct = await open_objects(s3_settings)
    await direct.put("k", pieces(body))
    await direct.close()
    async with await asyncio.start_server(relay, host="127.0.0.1", port=0) as server:
        port = server.sockets[0].getsockname()[1]
        store = await opened(s3_settings, storage_endpoint=f"http://127.0.0.1:{port}")
        assert await store.read("k", 3, len(body) - 5) == body[3:-5]
        await store.close()
    assert answers == 3


async def test_what_others_keep_in_the_bucket_is_not_listed(
    s3: S3Server, s3_settings: Settings
) -> None:
    store = await open_objects(s3_settings)
    await store.put("k", pieces(b"0"))
    prefix = urlsplit(s3_settings.storage_url or "").path.strip("/")
    client = s3.client()
    client.put_object(Bucket=s3.bucket, Key=f"{prefix}/Not Ours", Body=b"1")
    client.put_object(Bucket=s3.bucket, Key=f"{prefix}-other/k2", Body=b"1")
    client.close()

    assert [entry.key async for entry in store.list()] == ["k"]
    await store.close()
