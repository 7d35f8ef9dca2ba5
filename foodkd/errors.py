"""The one kind of error that a user is meant to read, and how a command tells it."""

from __future__ import annotations

import sys
from collections.abc import Callable


class FoodkdError(Exception):
    """Something a user can mend: one clear sentence naming the bad value, what is allowed and what to do next."""


def run_command(command: Callable[[], object]) -> None:
    """Run a command; a mistake of the user's ends in one sentence on stderr and status 1, never in a traceback."""
    try:
        command()
    except FoodkdError as error:
        _fail(str(error))
    except OSError as error:  # a full disk, a folder that may not be written
        _fail(f"{error.strerror or type(error).__name__}{f': {error.filename}' if error.filename else ''}.")


def _fail(sentence: str) -> None:
    print(f"foodkd: {' '.join(sentence.split())}", file=sys.stderr)
    sys.exit(1)
