"""Making the embedded server a replica set of one member with one user; safe to repeat."""

import asyncio
from typing import Any, Final, TypeAlias

from pymongo import AsyncMongoClient
from pymongo.errors import AutoReconnect, OperationFailure

from fhir.errors import Unavailable

USER: Final = "radiograph"
POLL_SECONDS: Final = 0.05
UNAUTHORIZED: Final = 13
AUTHENTICATION_FAILED: Final = 18
ALREADY_INITIALIZED: Final = 23
NOT_YET_INITIALIZED: Final = 94
USER_EXISTS: Final = 51003

Client: TypeAlias = AsyncMongoClient[dict[str, Any]]


def connect(port: int, password: str | None = None) -> Client:
    """A client of this one server whatever its role, with a user if there is a password."""
    return AsyncMongoClient(
        "127.0.0.1",
        port,
        directConnection=True,
        serverSelectionTimeoutMS=1000,
        username=None if password is None else USER,
        password=password,
    )


async def ensure(port: int, password: str) -> None:
    """Wait until the server is a primary that the user may use, making it so where it is not.

    Several processes may do it at once. There is no limit to the wait: the caller sets one.

    Raises:
        Unavailable: It refuses; most likely the password is not the one it was made with.
    """
    async with connect(port) as stranger:
        while not await ready(stranger, port, password):  # noqa: ASYNC110 - the server changes
            await asyncio.sleep(POLL_SECONDS)


async def ready(stranger: Client, port: int, password: str) -> bool:
    """Take the next step that is missing; say whether none was."""
    try:
        hello = await stranger.admin.command("hello")
        if hello["isWritablePrimary"]:
            return await usable(stranger, port, password)
        if "setName" not in hello and not await initiated(stranger, port):
            await move(port, password)
    except AutoReconnect:  # starting, or changing its role
        return False
    except OperationFailure as error:
        raise Unavailable(f"the embedded database refuses to be set up: {error}") from error
    return False


async def initiated(stranger: Client, port: int) -> bool:
    """Make the replica set; say False if there is one.

    A server without users lets a client on its own machine do this without a password, and
    make the first user.
    """
    member = {"_id": 0, "host": f"127.0.0.1:{port}"}
    try:
        await stranger.admin.command("replSetInitiate", {"_id": "rs0", "members": [member]})
    except OperationFailure as error:
        if error.code not in {ALREADY_INITIALIZED, UNAUTHORIZED}:
            raise
        return False
    return True


async def move(port: int, password: str) -> None:
    """Write a new port into the set's configuration: the member must find itself there."""
    async with connect(port, password) as user:
        try:
            config = (await user.admin.command("replSetGetConfig"))["config"]
        except OperationFailure as error:
            if error.code in {AUTHENTICATION_FAILED, NOT_YET_INITIALIZED}:
                return  # without user yet, so about to become primary; or still reading
            raise
        (member,) = config["members"]
        if member["host"] == f"127.0.0.1:{port}":
            return
        member["host"] = f"127.0.0.1:{port}"
        config["version"] += 1
        await user.admin.command("replSetReconfig", config, force=True)


async def usable(stranger: Client, port: int, password: str) -> bool:
    """Say whether the user can log in; make it if it is not there."""
    if await logs_in(port, password):
        return True
    try:
        await stranger.admin.command("createUser", USER, pwd=password, roles=["root"])
    except OperationFailure as error:
        if error.code not in {UNAUTHORIZED, USER_EXISTS}:
            raise
        # A user exists: another process has just made it, or it has another password.
        if not await logs_in(port, password):
            message = "the password file does not fit the embedded database: restore both together"
            raise Unavailable(message) from error
    return False


async def logs_in(port: int, password: str) -> bool:
    """Say whether the user exists and has this password."""
    async with connect(port, password) as user:
        try:
            await user.admin.command("ping")
        except OperationFailure as error:
            if error.code != AUTHENTICATION_FAILED:
                raise
            return False
    return True
