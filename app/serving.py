"""Serves the application: on an address of its own, or the connections that it is dealt."""

import asyncio
import gc
import signal
import socket
from contextlib import suppress
from typing import Final

import uvicorn

from app.archive import Archive
from app.graphql.exchange import MAX_BODY_BYTES
from app.imaging.retention import Retention
from app.live.delivering import DELIVERING, Webhooks
from app.live.duty import Duty
from app.live.webhooks import read_hooks
from app.main import create_app
from app.settings import Settings
from app.store.duties import Duties
from app.store.hook_places import HookPlaces
from fhir.errors import Invalid
from policies.errors import PolicyError

READY = b"r"
CONNECTION = b"c"
_YOUNG: Final = 20_000  # objects made between two looks for garbage; a request makes some thousands


async def serve(settings: Settings, archive: Archive, channel: socket.socket | None = None) -> int:
    """Serve until told to stop, or until nobody deals connections any more.

    Args:
        settings: Say where, and for how many.
        archive: What is served.
        channel: Brings connections from `app.workers`; absent: the settings' address is listened
            at.

    Returns:
        Exit code of the process: 0 unless it could not begin.
    """
    config = uvicorn.Config(
        create_app(settings, archive),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,  # addresses hold what people searched for
        server_header=False,
        lifespan="off",  # the archive is open, and closed by who opened it
        timeout_graceful_shutdown=10,
        ws_max_size=MAX_BODY_BYTES,
    )
    # what is there by now stays: looking through it again and again would find no garbage
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)
    server = uvicorn.Server(config) if channel is None else Dealt(config, channel)
    # uvicorn raises the signal that stopped it again: what is open here is still to be closed
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    webhooks = _webhooks(settings, archive)
    retention = Retention(archive.custody, archive.audit, Duties(archive.database))
    duty = Duty(Duties(archive.database), DELIVERING)
    async with retention.working(), webhooks.delivering(duty):
        await server.serve()
    return 0 if server.started else 1


def _webhooks(settings: Settings, archive: Archive) -> Webhooks:
    """Read whom to tell of changes.

    Raises:
        Invalid: It cannot be used; the message says what is wrong, and on which line.
    """
    try:
        hooks = read_hooks(settings.webhooks)
    except PolicyError as error:
        raise Invalid(f"setting RADIOGRAPH_WEBHOOKS: {error}") from error
    places = HookPlaces(archive.database)
    return Webhooks(hooks, archive.changes, places, archive.begin, archive.audit)


class Dealt(uvicorn.Server):
    """Listens nowhere: connections arrive as open sockets, one in each message of a channel."""

    def __init__(self, config: uvicorn.Config, channel: socket.socket) -> None:
        super().__init__(config)
        self._channel = channel
        self._opening: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections, and say so."""
        await super().startup(sockets=[])
        self._channel.setblocking(False)
        asyncio.get_running_loop().add_reader(self._channel.fileno(), self._take)
        self._channel.send(READY)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what was dealt, and take no more."""
        while self._take():
            pass
        asyncio.get_running_loop().remove_reader(self._channel.fileno())
        await asyncio.gather(*self._opening)
        await super().shutdown(sockets=[])

    def _take(self) -> bool:
        """Take a connection; say whether there was one."""
        try:
            message, descriptors, _, _ = socket.recv_fds(self._channel, len(CONNECTION), 1)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            message, descriptors = b"", []
        if not message:
            # who dealt is gone, and with it whoever would replace us
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self.should_exit = True
            return False
        for descriptor in descriptors:
            task = asyncio.create_task(self._open(socket.socket(fileno=descriptor)))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        return True

    async def _open(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        with suppress(OSError):  # whoever connected has left already
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made
