"""The command `export`."""

import argparse
import asyncio
from pathlib import Path

from app.archive import open_archive
from app.export import REFUSED, Exported, Order, export
from app.loading import say
from app.logs import configure_logging
from app.settings import Settings
from policies.rules import ROLES


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--role", required=True, metavar="R", help=", ".join(sorted(ROLES)))
    parser.add_argument("--to", required=True, type=Path, metavar="FOLDER", help="new, or empty")
    parser.add_argument(
        "--subject", metavar="S", help="whose care teams, shares, … count: issuer#subject"
    )
    parser.add_argument("--patient", metavar="ID", help="id of the Patient that they are")
    parser.add_argument(
        "--project", metavar="P", help="research project, whose pseudonyms a researcher sees"
    )
    parser.add_argument(
        "--query", default="", metavar="Q", help='FHIR search for studies: "modality=CT&started=…"'
    )
    parser.add_argument("--files", action="store_true", help="the DICOM objects, too")


def run_export(arguments: argparse.Namespace) -> int:
    """Export; give the exit code: 1 if anything that was asked for was refused."""
    configure_logging(readable=True)
    order = Order(
        role=arguments.role,
        folder=arguments.to,
        subject=arguments.subject,
        patient=arguments.patient,
        project=arguments.project,
        query=arguments.query,
        files=arguments.files,
    )

    async def run() -> Exported:
        async with open_archive(Settings()) as archive:
            return await export(archive, order)

    done = asyncio.run(run())
    say(_summary(done, files=order.files))
    return 1 if done.refused else 0


def _summary(done: Exported, *, files: bool) -> str:
    counts = [(done.studies, "study", "studies"), (done.patients, "patient", "patients")]
    counts += [(done.files, "file", "files")] if files else []
    said = ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in counts)
    return f"{said}; {len(done.refused)} refused" + (f", see {REFUSED}" if done.refused else "")
