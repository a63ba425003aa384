"""The command line, `python -m app …`."""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
import uvloop
from pydantic import ValidationError

from app.archive import open_archive, open_chosen_database
from app.demo import (
    CARE_TEAMS,
    SAMPLES,
    TOKEN_MINUTES,
    a_patient,
    care_teams,
    project_of,
    sample_sources,
    tokens,
)
from app.dimse.listener import listening
from app.doctor import diagnose
from app.exporting import add_export_arguments, run_export
from app.identity.development import DevelopmentIssuer
from app.identity.roles import CONFIDENTIALITY, ROLES
from app.imaging.retention import Retention
from app.imaging.sources import sources
from app.imaging.sweep import sweep
from app.loading import load, say, summary
from app.logs import configure_logging, place
from app.operations import portal_files
from app.policing import add_policy_commands
from app.serving import serve
from app.settings import Settings, loopback
from app.store.database import is_outage
from app.store.duties import Duties
from app.workers import Workers
from fhir.errors import Invalid, ResourceError
from policies.errors import PolicyError
from schema.build import sdl
from schema.changes import BREAKING, changes
from schema.fhir_schema import fhir_sdl

log = structlog.get_logger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; give its exit code: 0 done, 1 something was refused or wrong, 2 misused."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    parsed = _parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper()
            _complain(f"setting RADIOGRAPH_{name}: {problem['msg']}")
    except PolicyError as error:
        _complain(f"the policy cannot be used:\n{error}")
    except ResourceError as error:
        _complain(error.message)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        _complain(f"{error.filename or 'the system'}: {error.strerror}")
    except Exception as error:  # noqa: BLE001 - the edge; texts of errors may hold patient data
        if is_outage(error):
            _complain("the database does not answer; see `python -m app doctor`")
        else:
            log.error("command failed", **place(error))  # noqa: TRY400 - no text, see above
    return 1


def _complain(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app", description="Radiograph")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[Any], int], about: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about)
        added.set_defaults(run=run)
        return added

    demo = command("demo", _demo, "load sample studies, print a token per role, serve")
    _add_serving(demo)
    _add_serving(command("serve", _serve, "serve with the configured backends"))
    listen = command("listen", _listen, "serve DICOM's own network protocol (DIMSE)")
    listen.add_argument("--port", type=int, help="default: 11112, or RADIOGRAPH_DIMSE_PORT")
    listen.add_argument(
        "--aet", metavar="TITLE", help="default: RADIOGRAPH, or RADIOGRAPH_DIMSE_AET"
    )
    ingest = command("ingest", _ingest, "take in DICOM files, folders and zip files")
    ingest.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    ingest.add_argument("--quiet", action="store_true", help="tell only what was not stored")
    token = command("token", _token, "print a development token")
    token.add_argument("--role", required=True, metavar="ROLE", help=", ".join(ROLES))
    token.add_argument("--patient", metavar="ID", help="id of the Patient resource the holder is")
    token.add_argument("--specialty", metavar="S")
    token.add_argument("--subject", metavar="U", help="who; default: the role's name")
    token.add_argument(
        "--project", metavar="P", help="research project, whose pseudonyms a researcher sees"
    )
    token.add_argument("--site", metavar="S", help="where the holder works")
    token.add_argument("--clearance", metavar="C", help=", ".join(CONFIDENTIALITY))
    token.add_argument("--scope", metavar="SCOPES", help='SMART, like "patient/*.rs user/*.r"')
    token.add_argument("--context", metavar="ID", help="Patient that a SMART app is launched for")
    token.add_argument("--minutes", type=int, default=60, metavar="N")
    add_export_arguments(
        command("export", run_export, "write what a role sees into a folder: FHIR, and DICOM files")
    )
    command("sweep", _sweep, "remove deleted studies whose time is up, and what was left over")
    command("reindex", _reindex, "derive every study and patient again from the stored headers")
    command("doctor", _doctor, "say what is reachable and what is wrong")
    schema = command("sdl", _sdl, "print the GraphQL schema")
    schema.add_argument("--fhir", action="store_true", help="that of /fhir/$graphql")
    schema.add_argument(
        "--against",
        type=Path,
        metavar="OLD.graphql",
        help="print what it breaks for clients of an older one instead; exit code 1 if anything",
    )
    command("types", _types, "write the types and the manifest of the portal's operations")
    policy = command("policy", lambda _: 2, "look after the policy files")
    add_policy_commands(policy)
    return parser


def _add_serving(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, help="default: 8000, or RADIOGRAPH_PORT")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes; default: 1, or RADIOGRAPH_WORKERS"
    )
    # one of several processes gets its connections from `app.workers` through this descriptor
    parser.add_argument("--channel", type=int, help=argparse.SUPPRESS)


def _settings(**changes: Any) -> Settings:
    given = {name: value for name, value in changes.items() if value is not None}
    return Settings(**given)


def _demo(arguments: argparse.Namespace) -> int:
    settings = _settings(port=arguments.port, workers=arguments.workers, development_issuer=True)
    if arguments.channel is not None:
        return _work(settings, arguments.channel, readable=True)
    _ensure_free(settings)
    configure_logging(readable=True)
    return uvloop.run(_run_demo(settings))


async def _run_demo(settings: Settings) -> int:
    async with open_archive(settings) as archive:
        if not await archive.ledger.marked(SAMPLES):
            say("Loading sample studies; the next time they are there already.")
            found = list(sample_sources())
            counts = await load(archive, lambda: found, quiet=True)
            await archive.ledger.mark(SAMPLES)
            say(summary(counts))
        if not await archive.ledger.marked(CARE_TEAMS):
            await care_teams(archive)
            await archive.ledger.mark(CARE_TEAMS)
        patient = await a_patient(archive)
        _print_doors(settings, tokens(archive, patient), patient)
        if settings.workers == 1:
            return await serve(settings, archive)
        return await Workers(settings, "demo").run(lambda: None)


def _print_doors(settings: Settings, signed: dict[str, str], patient: str | None) -> None:
    url = settings.base_url
    say("\nRadiograph")
    for about, path in (
        ("start page", "/"),
        ("GraphQL", "/graphql"),
        ("FHIR R4", "/fhir/metadata"),
        ("DICOMweb", "/dicomweb"),
        ("REST and OpenAPI", "/docs"),
        ("health", "/ready"),
    ):
        say(f"  {about:<17} {url}{path}")
    hours, idle = TOKEN_MINUTES // 60, settings.session_idle.total_seconds() / 60
    say(
        f"\nTokens for development, good for {hours} hours, or until not used for {idle:g} minutes"
        "\n(Authorization: Bearer …)"
    )
    for role, token in signed.items():
        of = f"  (Patient/{patient})" if role in {"patient", "proxy"} and patient else ""
        say(f"{role}{of}:\n{token}")
    say("\nStop with Ctrl-C.")


def _serve(arguments: argparse.Namespace) -> int:
    settings = _settings(port=arguments.port, workers=arguments.workers)
    readable = settings.mode == "development"
    if arguments.channel is not None:
        return _work(settings, arguments.channel, readable=readable)
    _ensure_free(settings)
    configure_logging(readable=readable)
    return uvloop.run(_run(settings) if settings.workers == 1 else _run_workers(settings))


async def _run(settings: Settings) -> int:
    async with open_archive(settings) as archive:
        say(f"serving on {settings.base_url}")
        return await serve(settings, archive)


async def _run_workers(settings: Settings) -> int:
    def begun() -> None:
        say(f"serving on {settings.base_url}, with {settings.workers} processes")

    async with contextlib.AsyncExitStack() as stack:
        # an embedded one is to outlast every worker
        await open_chosen_database(settings, stack)
        return await Workers(settings, "serve").run(begun)


def _work(settings: Settings, channel: int, *, readable: bool) -> int:
    """Be one of several processes that serve."""
    configure_logging(readable=readable)

    async def run() -> int:
        with socket.socket(fileno=channel) as connections:
            async with open_archive(settings) as archive:
                return await serve(settings, archive, connections)

    return uvloop.run(run())


def _listen(arguments: argparse.Namespace) -> int:
    settings = _settings(dimse_port=arguments.port, dimse_aet=arguments.aet)
    configure_logging(readable=settings.mode == "development")
    threading.excepthook = _log_thread  # its own would write down what errors say
    warnings.simplefilter("ignore")  # pydicom's quote values

    async def run() -> int:
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        async with open_archive(settings) as archive, listening(archive) as listener:
            say(f"{settings.dimse_aet} listens on {settings.dimse_host}:{listener.port}")
            _say_who_is_let_in(settings)
            await stopped.wait()
        return 0

    return asyncio.run(run())


def _log_thread(what: threading.ExceptHookArgs) -> None:
    if what.exc_value is not None:
        log.error("thread failed", **place(what.exc_value))


def _say_who_is_let_in(settings: Settings) -> None:
    if not settings.dimse_callers:
        _complain(
            "nobody is let in: RADIOGRAPH_DIMSE_CALLERS names nobody, as in "
            '\'{"CT1": {"roles": ["technologist"]}}\''
        )
    elif settings.dimse_certificate is None and not loopback(settings.dimse_host):
        _complain("without TLS whoever reaches this port can use any AE title")


def _ensure_free(settings: Settings) -> None:
    """Fail before anything is loaded if somebody else serves on the port.

    Raises:
        Invalid: The address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise Invalid(
                f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); "
                "choose another with --port, or `make demo PORT=…`"
            ) from error


def _ingest(arguments: argparse.Namespace) -> int:
    configure_logging(readable=True)

    async def run() -> int:
        async with open_archive(_settings()) as archive:
            counts = await load(archive, lambda: sources(arguments.paths), quiet=arguments.quiet)
        say(summary(counts))
        if not counts:
            _complain("there are no files")
        kept = counts["stored"] + counts["duplicate"]
        return 0 if kept and kept == counts.total() else 1

    return asyncio.run(run())


def _token(arguments: argparse.Namespace) -> int:
    settings = _settings()
    if settings.mode == "production":
        raise Invalid("production believes no development tokens; use your issuer's")
    issuer = DevelopmentIssuer(settings.data_dir)
    token = issuer.token(
        arguments.role,
        patient=arguments.patient,
        specialty=arguments.specialty,
        subject=arguments.subject,
        project=arguments.project or project_of(arguments.role),
        site=arguments.site,
        clearance=arguments.clearance,
        scope=arguments.scope,
        context=arguments.context,
        minutes=arguments.minutes,
    )
    if not settings.development_issuer:
        _complain("it is believed by `demo`, and with RADIOGRAPH_DEVELOPMENT_ISSUER=true")
    say(token)
    return 0


def _sweep(_arguments: argparse.Namespace) -> int:
    configure_logging(readable=True)

    async def run() -> int:
        async with open_archive(_settings()) as archive:
            duties = Duties(archive.database)
            purged = await Retention(archive.custody, archive.audit, duties).purge()
            swept = await sweep(archive.ingest)
        say(
            f"{purged} deleted studies removed whose time was up, "
            f"{swept.objects_removed} objects without instance removed, "
            f"{swept.partial_writes_removed} interrupted writes removed, "
            f"{swept.studies_settled} studies counted again, "
            f"{swept.deletions_finished} deletions finished, "
            f"{swept.claims_removed} empty claims removed"
        )
        return 0

    return asyncio.run(run())


def _reindex(_arguments: argparse.Namespace) -> int:
    configure_logging(readable=True)

    async def run() -> int:
        done = 0
        async with open_archive(_settings()) as archive:
            async for study in archive.ledger.studies():
                await archive.ingest.derive(study)
                done += 1
        say(f"{done} studies derived again")
        return 0

    return asyncio.run(run())


def _doctor(_arguments: argparse.Namespace) -> int:
    configure_logging(readable=True)
    well = True

    async def run() -> None:
        nonlocal well
        async for finding in diagnose(_settings()):
            well = well and finding.ok
            say(f"{'ok   ' if finding.ok else 'WRONG'} {finding}")

    asyncio.run(run())
    return 0 if well else 1


def _sdl(arguments: argparse.Namespace) -> int:
    written = fhir_sdl() if arguments.fhir else sdl()
    if arguments.against is None:
        sys.stdout.write(written)
        return 0
    found = changes(_text(arguments.against), written)
    for change in found:
        say(str(change))
    return 1 if any(change.severity == BREAKING for change in found) else 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(f"{path} is not a text in UTF-8") from error


def _types(_arguments: argparse.Namespace) -> int:
    for path, content in portal_files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        say(str(path))
    return 0
