"""How the service logs: a constant sentence and fields, one line each, on standard error."""

import logging
import sys
import traceback
from pathlib import Path

import structlog


def configure_logging(*, readable: bool) -> None:
    """Set up logging for this process.

    Args:
        readable: Lines for people; otherwise JSON for machines.
    """
    renderer = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if readable
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def place(error: BaseException) -> dict[str, object]:
    """Tell an exception by type and place, as fields of a log line; its text may hold PHI."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    places = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    return {"error": type(error).__name__, "at": places}
