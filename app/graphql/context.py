"""What the archive gives to GraphQL operations besides records."""

from collections.abc import Callable
from datetime import timedelta

from app.archive import Archive
from app.identity.sessions import end_session
from app.store.jobs import JobTickets
from app.store.shares import ShareTokens
from fhir.guarded import GuardedRepository
from schema.context import Context


class Contexts:
    """Gives operations what they may use, made once for an archive."""

    def __init__(self, archive: Callable[[], Archive]) -> None:
        self._archive = archive
        self._made: tuple[Archive, Context] | None = None

    def __call__(self) -> Context:
        """Give the context of the archive that is served now."""
        archive = self._archive()
        if self._made is None or self._made[0] is not archive:
            self._made = (archive, context_of(archive))
        return self._made[1]


def context_of(archive: Archive) -> Context:
    """Give what every operation of a process may use."""

    async def end(repository: GuardedRepository, identifier: str) -> None:
        await end_session(repository, archive.sessions, identifier)

    return Context(
        longest_break_glass=timedelta(minutes=archive.settings.break_glass_minutes),
        opened=archive.alerts.opened,
        end_session=end,
        desk=archive.desk,
        once=archive.once,
        custody=archive.custody,
        shares=ShareTokens(archive.database),
        longest_share=timedelta(days=archive.settings.share_days),
        tickets=JobTickets(archive.database),
        upload_lasts=timedelta(hours=archive.settings.upload_hours),
    )
