"""Everything that the doors stand on, opened once for a process and closed with it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from app.alerts import Alerts
from app.audit import Audit
from app.background import in_background
from app.cache.cache import Cache
from app.cache.following import Following
from app.cache.opening import open_cache
from app.cache.ranges import Ranges
from app.cache.records import Records
from app.embedded.mongod import EmbeddedDatabase
from app.identity.sessions import Sessions
from app.identity.signed import SignedAddresses
from app.identity.tokens import Identity
from app.imaging.custody import StudyCustody
from app.imaging.ingest import ENDPOINT_ID, Ingest
from app.imaging.pictures import Pictures
from app.job_expiry import failing_when_over
from app.live.changes import LiveChanges
from app.live.duty import Duty
from app.live.sequencer import Sequencer
from app.policy_desk import PolicyDesk
from app.prefetch.prefetch import Prefetch
from app.prefetch.rules import NONE, Rules, read_rules
from app.pseudonym_key import pseudonym_key
from app.settings import Settings
from app.store.change_events import ChangeEvents
from app.store.change_log import SEQUENCING, ChangeLog
from app.store.changes import Deletions
from app.store.database import Database, open_database, prepare
from app.store.duties import Duties
from app.store.jobs import JobTickets
from app.store.ledger import Ledger
from app.store.links import Links
from app.store.notices import Notices
from app.store.objects import open_objects
from app.store.once import OnceStore
from app.store.policy_versions import PolicyVersions
from app.store.ports import ObjectStore
from app.store.pseudonyms import PseudonymRegister
from app.store.records import MongoRepository
from app.store.sessions import SessionStore
from app.store.signed import SignedStore
from app.store.trail import Trail
from fhir.access import Access
from fhir.changes import Changes
from fhir.deidentified import Deidentified
from fhir.dicom_keys import BUILT_IN_KEYS, Catalogue
from fhir.elements import COORDINATES
from fhir.errors import AccessDenied, Invalid, ResourceError
from fhir.from_dicom.endpoint import endpoint
from fhir.from_dicom.site import Site
from fhir.guarded import GuardedRepository
from fhir.pseudonyms import Pseudonyms
from fhir.repository import Repository
from fhir.search import criteria
from policies.book import Book
from policies.caller import Caller
from policies.errors import PolicyError
from policies.grants import Policy
from policies.scopes import VARIABLE


@dataclass(frozen=True, slots=True)
class Archive:
    """The stores, the policy and the people's identities of one process."""

    settings: Settings
    database: Database
    repository: MongoRepository
    ledger: Ledger
    objects: ObjectStore
    ingest: Ingest
    audit: Audit
    identity: Identity
    book: Book
    pictures: Pictures
    links: Links
    sessions: Sessions
    alerts: Alerts
    register: PseudonymRegister
    pseudonym_key: bytes = field(repr=False)
    desk: PolicyDesk
    cache: Cache
    deletions: Deletions
    prefetch: Prefetch
    once: OnceStore
    changes: Changes
    signed: SignedAddresses
    catalogue: Catalogue = BUILT_IN_KEYS

    @property
    def custody(self) -> StudyCustody:
        """Where studies are deleted, restored and held."""
        return StudyCustody(self.ingest, self.cache, self.settings.restore_window)

    async def access(self, caller: Caller, policy: Policy | None = None) -> Access:
        """Begin a request: it keeps the policy, and the links, that are in force now.

        Args:
            caller: Who asks.
            policy: Another one than that in force.
        """
        policy = policy or self.book.current
        scopes = (policy.scopes[name] for name in policy.grant(caller.roles).scopes)
        needed = frozenset().union(*(scope.variables for scope in scopes))
        linked = await self.links.of(caller.subject, needed, datetime.now(UTC))
        return Access(caller, policy, linked)

    async def begin(self, caller: Caller) -> GuardedRepository:
        """Begin a request of somebody: records as they may see them now.

        Raises:
            AccessDenied: They see records without identity, and their token names no project.
        """
        access = await self.access(caller)
        return GuardedRepository(self.view_of(access), access)

    def view_of(self, access: Access) -> Repository:
        """Give the records in the form in which a caller sees them.

        Raises:
            AccessDenied: They see them without identity, and their token names no project.
        """
        if access.view == "identified":
            return self.repository
        projects = access.caller.variables.get("project", ())
        if len(projects) != 1:
            raise AccessDenied(
                "Your roles show records without identity, under pseudonyms of one project: the "
                "token has to name it, and one alone. Ask whoever issues your tokens."
            )
        pseudonyms = Pseudonyms(self.pseudonym_key, projects[0], self.settings.date_shift_days)
        return Deidentified(self.repository, pseudonyms, self.register, access.note)


@asynccontextmanager
async def open_archive(settings: Settings) -> AsyncIterator[Archive]:
    """Open everything that the settings name, and close it in the end.

    Raises:
        Unavailable: A store does not answer; the message says which and what to do.
        PolicyError: The policy files cannot be used and there is no last good copy.
        Invalid: A setting makes no sense.
    """
    async with AsyncExitStack() as stack:
        database = await open_chosen_database(settings, stack)
        await prepare(database)
        changes = await stack.enter_async_context(_changes(settings, database))
        try:
            objects = await open_objects(settings)
        except ValueError as error:
            raise Invalid(f"setting RADIOGRAPH_STORAGE_URL: {error}") from error
        stack.push_async_callback(objects.close)
        identity = await Identity.open(settings)
        stack.push_async_callback(identity.close)
        ledger = Ledger(database)
        catalogue = _catalogue(settings)
        ingest = Ingest(
            objects,
            ledger,
            _site(settings),
            settings.release_on_ingest,
            settings.max_upload_bytes,
            catalogue,
        )
        stack.push_async_callback(ingest.close)
        key = pseudonym_key(settings)
        cache, deletions = _cache(settings, key), Deletions(database)
        stack.push_async_callback(cache.close)
        if cache.on:
            await deletions.prepare()
            followed = Following(cache, deletions)
            await followed.begin()
            await stack.enter_async_context(in_background(followed.run()))
        pictures = Pictures(objects, settings.render_workers, Ranges(cache) if cache.on else None)
        prefetch = Prefetch(
            _rules(settings),
            cache,
            pictures,
            lambda one: archive.begin(one),  # noqa: PLW0108 -- it is only made below
            on=settings.prefetch,
        )
        book = await asyncio.to_thread(open_book, settings, last_good_policy(settings))
        await stack.enter_async_context(in_background(book.watch()))
        desk = PolicyDesk(book, PolicyVersions(database))
        await stack.enter_async_context(in_background(desk.follow()))
        alerts = Alerts(Notices(database), settings.alert_url)
        await stack.enter_async_context(alerts.delivering())
        await ledger.save_endpoint(endpoint(ENDPOINT_ID, f"{settings.base_url}/dicomweb"))
        archive = Archive(
            settings,
            database,
            MongoRepository(database, Records(cache) if cache.on else None),
            ledger,
            objects,
            ingest,
            Audit(Trail(database)),
            identity,
            book,
            pictures,
            Links(database),
            _sessions(settings, database),
            alerts,
            PseudonymRegister(database),
            key,
            desk,
            cache,
            deletions,
            prefetch,
            OnceStore(database),
            changes,
            SignedAddresses(SignedStore(database)),
            catalogue,
        )
        await stack.enter_async_context(prefetch.working())
        await stack.enter_async_context(failing_when_over(archive.repository, JobTickets(database)))
        yield archive


def last_good_policy(settings: Settings) -> Path:
    """Say where the last policy that could be used is kept."""
    return settings.data_dir / "last-good-policy.zip"


def open_book(settings: Settings, last_good: Path | None) -> Book:
    """Load the policy of `POLICY_DIR`; it checks itself against everything that can be served.

    Args:
        settings: Name the folder.
        last_good: A copy to start from where the folder cannot be used; None: then it fails.

    Raises:
        PolicyError: The files cannot be used; every problem has its line.
    """
    return Book(settings.policy_dir, COORDINATES, scope_problem, last_good)


def scope_problem(resource: str, text: str) -> str | None:
    """Say what is wrong with a scope's search text, or None."""
    try:
        criteria(
            resource,
            parse_qsl(VARIABLE.sub("x", text), strict_parsing=True, keep_blank_values=True),
        )
    except ResourceError as error:
        return error.message
    except ValueError:
        return "not a search: write parameter=value&parameter=value"
    return None


async def open_chosen_database(settings: Settings, stack: AsyncExitStack) -> Database:
    """Open the database that the settings name, starting it if it is the embedded one.

    Raises:
        Unavailable: The embedded database does not start; others are not asked.
        Invalid: A setting makes no sense.
    """
    url = settings.database_url.get_secret_value() if settings.database_url else None
    if url is None:
        if settings.mode == "production":
            raise Invalid(
                "production needs RADIOGRAPH_DATABASE_URL; the embedded one is for trials"
            )
        try:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Invalid(f"setting RADIOGRAPH_DATA_DIR: {error.strerror}") from error
        url = (await stack.enter_async_context(EmbeddedDatabase(settings.data_dir))).url
    database = open_database(url, settings.database_name, settings.request_timeout)
    stack.callback(database.client.close)
    return database


@asynccontextmanager
async def _changes(settings: Settings, database: Database) -> AsyncIterator[LiveChanges]:
    log = ChangeLog(database, timedelta(days=settings.change_days))
    changes = LiveChanges(log)
    sequencer = Sequencer(log, ChangeEvents(database, log))
    async with changes.going_on(sequencer, Duty(Duties(database), SEQUENCING)):
        yield changes


def _sessions(settings: Settings, database: Database) -> Sessions:
    return Sessions(
        SessionStore(database),
        idle=settings.session_idle,
        per_user=settings.sessions_per_user,
        clock_skew=settings.clock_skew,
    )


def _cache(settings: Settings, key: bytes) -> Cache:
    try:
        return open_cache(settings, key)
    except ValueError as error:
        raise Invalid(f"setting RADIOGRAPH_CACHE_URL: {error}") from error
    except OSError as error:
        raise Invalid(f"setting RADIOGRAPH_CACHE_URL: {error.strerror}") from error


def _rules(settings: Settings) -> Rules:
    if not settings.prefetch:
        return NONE
    try:
        return read_rules(settings.prefetch_rules)
    except PolicyError as error:
        raise Invalid(f"setting RADIOGRAPH_PREFETCH_RULES: {error}") from error


def _catalogue(settings: Settings) -> Catalogue:
    try:
        return Catalogue.of(settings.dicom_keys)
    except Invalid as error:
        raise Invalid(f"setting RADIOGRAPH_DICOM_KEYS: {error.message}") from error


def _site(settings: Settings) -> Site:
    try:
        time_zone = ZoneInfo(settings.time_zone) if settings.time_zone else None
    except (KeyError, ValueError, OSError) as error:
        raise Invalid("setting RADIOGRAPH_TIME_ZONE: no such IANA time zone") from error
    return Site(
        time_zone=time_zone,
        patient_id_system=settings.patient_id_system,
        issuer_systems=settings.issuer_systems,
        pad_times=settings.pad_times,
        institutions=settings.sites,
        code=settings.site,
    )
