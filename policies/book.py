"""The policy in force: loaded, held against Casbin, and replaced whole when its files change."""

import asyncio
import gc
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from watchfiles import awatch

from policies import files
from policies.checking import Checked, check, load
from policies.errors import PolicyError, Problem
from policies.grants import Policy
from policies.idle import idle_lines
from policies.saving import finish, save
from policies.scopes import CheckScope

# Milliseconds. An edit counts once nothing has changed for QUIET; where the file system tells
# nothing (NFS, some containers, a folder that was replaced) the files are looked at every GLANCE.
QUIET = 100
LONGEST_EDIT = 1_000
GLANCE = 1_500

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Status:
    """How the last attempt to load the folder ended.

    Attributes:
        when: UTC.
        problems: Why the files were refused; empty if `ok`. The policy in force is then the one
            before, or at start the last good one.
        warnings: Lines of the policy in force that decide nothing.
    """

    ok: bool
    when: datetime
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


class Book:
    """The policy in force; replaced whole, by one assignment.

    Whoever serves a request takes `current` once and keeps it to the end.
    """

    def __init__(
        self,
        folder: Path,
        vocabulary: frozenset[str],
        check_scope: CheckScope,
        last_good: Path | None = None,
    ) -> None:
        """Load the folder.

        Args:
            folder: Holds the four files of a policy.
            vocabulary: Every coordinate that exists.
            check_scope: Takes a resource type and a search text as written in `scopes.toml`,
                variables in place; says what is wrong with it, or None.
            last_good: Zip archive to keep the last good files in, and to start from if those of
                the folder are refused.

        Raises:
            PolicyError: The files are refused, and there is no last good copy that holds.
        """
        self._folder = folder
        self._vocabulary = vocabulary
        self._check_scope = check_scope
        self._last_good = last_good
        self._lock = threading.Lock()
        finish(folder)
        self._seen = files.read_folder(folder)
        try:
            self.current = self._load(self._seen)
        except PolicyError as error:
            self.current = self._restore(error)
            self._refuse(error)
        else:
            self._accept(self._seen)

    def reload(self) -> bool:
        """Load the folder again; what cannot be used changes nothing but `status`.

        Blocks for up to a second; safe to call from any thread.

        Returns:
            Whether the files of the folder are in force now.
        """
        with self._lock:
            return self._take(files.read_folder(self._folder))

    def content(self) -> dict[str, bytes]:
        """Read the files of the folder as they are now, in force or not."""
        return files.read_folder(self._folder)

    def check(self, texts: Mapping[str, str]) -> Checked:
        """Say what is wrong with the folder if these texts replaced files of it.

        Blocks for up to some seconds.

        Args:
            texts: File name to content.
        """
        content = self.content() | {name: text.encode() for name, text in texts.items()}
        return check(content, self._vocabulary, self._check_scope)

    def save(self, texts: Mapping[str, str], expected: str, roles: frozenset[str]) -> str:
        """Replace files of the folder, see `policies.saving.save`, and put them in force here.

        Blocks for up to some seconds; other processes follow when they notice.

        Args:
            texts: File name to content.
            expected: What `files.edition` said of the content that the caller began with.
            roles: Of whoever saves.

        Returns:
            The version that is in force now.
        """
        version = save(self._folder, texts, expected, roles, self._vocabulary, self._check_scope)
        self.reload()
        return version

    async def watch(self) -> None:
        """Reload whenever a file of the folder changes; runs until cancelled.

        To be started once the process has built what it keeps.
        """
        if not gc.get_freeze_count():
            # A large policy makes so many objects that the collector would look through all of
            # these again, and stop every thread for up to 400 ms (measured at 10,000 rules).
            gc.collect()
            gc.freeze()
        while True:
            await asyncio.to_thread(self._reload_if_changed)
            # A folder that is not there now may come back.
            if await asyncio.to_thread(self._folder.is_dir):
                async for _ in awatch(
                    self._folder,
                    # Editors rename, and Kubernetes swaps a link beside the files.
                    watch_filter=None,
                    recursive=False,
                    debounce=LONGEST_EDIT,
                    step=QUIET,
                    rust_timeout=GLANCE,
                    yield_on_timeout=True,
                ):
                    await asyncio.to_thread(self._reload_if_changed)
            await asyncio.sleep(GLANCE / 1_000)

    def _reload_if_changed(self) -> None:
        with self._lock:
            finish(self._folder)
            content = files.read_folder(self._folder)
            if content != self._seen:
                self._take(content)

    def _take(self, content: dict[str, bytes]) -> bool:
        self._seen = content
        try:
            policy = self._load(content)
        except PolicyError as error:
            self._refuse(error)
            return False
        if policy.version != self.current.version:  # else keep what is compiled already
            self.current = policy
        self._accept(content)
        return True

    def _load(self, content: Mapping[str, bytes]) -> Policy:
        return load(content, self._vocabulary, self._check_scope)

    def _accept(self, content: Mapping[str, bytes]) -> None:
        # after the swap, which nobody should wait with for this
        warnings = tuple(idle_lines(self.current.rules, self._vocabulary))
        self.status = Status(ok=True, when=datetime.now(UTC), warnings=warnings)
        said = [str(warning) for warning in warnings]
        log.info("policy in force", version=self.current.version, warnings=said)
        if self._last_good is None:
            return
        try:
            files.keep(content, self._last_good)
        except OSError as error:
            log.warning("last good policy not kept", error=type(error).__name__)

    def _refuse(self, error: PolicyError) -> None:
        self.status = Status(ok=False, when=datetime.now(UTC), problems=error.problems)
        said = [str(problem) for problem in error.problems]
        log.error("policy refused", problems=said, in_force=self.current.version)

    def _restore(self, error: PolicyError) -> Policy:
        content = files.kept(self._last_good) if self._last_good else {}
        if not content:
            raise error
        try:
            return self._load(content)
        except PolicyError:
            # Its problems are of a copy nobody edits; those of the folder can be mended.
            raise error from None
