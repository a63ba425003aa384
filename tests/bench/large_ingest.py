"""Prints the peak memory of `python -m app ingest` of a 1 GB object, against that of a tiny one.

Run as `python -m tests.bench.large_ingest`; ends with code 1 if it is more than 64 MB more.
"""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from tests.build import dicom, uid
from tests.command import ROOT, Installation

LIMIT_MB = 64
ROWS = 16_384


def write_large(path: Path) -> None:
    """Write an object of two 16-bit frames of 16,384 rows and columns, 1 GiB of pixels."""
    small = dicom(StudyInstanceUID=uid(), NumberOfFrames=2, Rows=ROWS, Columns=ROWS)
    size = 2 * ROWS * ROWS * 2
    at = small.rindex(b"\xe0\x7f\x10\x00OW") + 8
    with path.open("wb") as file:
        file.write(small[:at] + size.to_bytes(4, "little"))
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))


def peak_mb(path: Path, folder: Path) -> tuple[float, float]:
    """Peak resident memory of ingesting a file into a new archive, and the seconds it takes.

    Of the command itself: the database it starts is no child of it.
    """
    environment = Installation(folder).environment
    begun = perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "ingest", path], cwd=ROOT, env=environment
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss / 1024, perf_counter() - begun


def main() -> int:
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tiny.dcm").write_bytes(dicom())
        write_large(folder / "large.dcm")
        tiny, _ = peak_mb(folder / "tiny.dcm", folder / "1")
        large, seconds = peak_mb(folder / "large.dcm", folder / "2")
    print(f"tiny {tiny:.0f} MB, 1 GB {large:.0f} MB: {large - tiny:.0f} MB more; {seconds:.1f} s")
    return int(large - tiny > LIMIT_MB)


if __name__ == "__main__":
    sys.exit(main())
