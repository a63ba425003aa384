"""Until when the database may work for somebody: it ends what it does by itself."""

from contextlib import AbstractContextManager

import pymongo


def deadline(seconds: float) -> AbstractContextManager[None]:
    """Give everything that is asked of the database within the block so long, altogether.

    Whoever only stops waiting leaves the server at work; this way it is told when to stop.
    What is begun within the block for others as well would have the same end: begin it outside.
    """
    return pymongo.timeout(seconds)
