"""A policy that changes holds from the next request on, on associations that are open already."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from io import BytesIO
from uuid import uuid4

import pytest
from pydicom import dcmread, uid

from app.archive import Archive, open_archive
from app.dimse.listener import listening
from app.embedded.mongod import EmbeddedDatabase
from app.settings import Settings
from tests.build import dicom
from tests.dimse.peers import FIND, associate, contexts, dataset
from tests.policy import SHIPPED

CT = str(uid.CTImageStorage)


@pytest.fixture(scope="module")
async def archive(
    mongod: EmbeddedDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Archive]:
    """An archive of its own, with a copy of the shipped policy that may be written to."""
    folder = tmp_path_factory.mktemp("changing")
    shutil.copytree(SHIPPED, folder / "policy", ignore=shutil.ignore_patterns("*.py", "__*"))
    (folder / "policy" / "tests.toml").write_text("")  # they would not let the rules change so
    settings = Settings.model_validate(
        {
            "database_url": mongod.url,
            "database_name": f"test-{uuid4().hex}",
            "data_dir": folder,
            "policy_dir": folder / "policy",
            "dimse_port": 0,
            "dimse_callers": {"NURSE": {"roles": ["nurse"]}},
        }
    )
    async with open_archive(settings) as opened:
        yield opened
        await opened.database.client.drop_database(settings.database_name)


async def test_a_right_that_is_given_or_taken_holds_from_the_next_request_on(
    archive: Archive,
) -> None:
    rules = archive.settings.policy_dir / "rules.csv"
    shipped = rules.read_text()
    query = dataset(QueryRetrieveLevel="STUDY", StudyInstanceUID="")

    def now(text: str) -> None:
        rules.write_text(text)
        assert archive.book.reload()

    async with listening(archive) as running:
        peer = await asyncio.to_thread(associate, running.port, "NURSE", contexts(CT, FIND))

        async def store() -> int:
            data = dcmread(BytesIO(dicom()))
            return int((await asyncio.to_thread(peer.send_c_store, data)).Status)

        def find() -> list[int]:
            return [int(status.Status) for status, _ in peer.send_c_find(query, FIND)]

        assert await store() == 0x0124
        now(f"{shipped}\np, nurse, Image.file, create, any, allow\n")
        assert await store() == 0x0000
        now(shipped)
        assert await store() == 0x0124
        assert await asyncio.to_thread(find) == [0xFF00, 0x0000]
        now(f"{shipped}\np, nurse, ImagingStudy.id, read, any, deny\n")
        assert await asyncio.to_thread(find) == [0x0124]
        await asyncio.to_thread(peer.release)
