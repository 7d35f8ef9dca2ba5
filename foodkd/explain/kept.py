"""Plain arrays kept beside a pair, as one .npz file: written whole, no pickle, and never believed unread.

`Kept` says what a kind of file is called, how large it may be and how it is made anew; every refusal is one sentence.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foodkd.errors import FoodkdError
from foodkd.files import whole_file


def insist(holds: bool, wrong: str) -> None:
    """Raise ValueError(wrong) unless it holds; `Kept.parts` makes a sentence of it."""
    if not holds:
        raise ValueError(wrong)


@dataclass(frozen=True)
class Kept:
    """One kind of file.

    Attributes:
        holds: what it holds, for sentences: "answers".
        largest: bytes that a file may take.
        unpacked: bytes that its arrays may take.
        remedy: how to make it anew, with a full stop.
    """

    holds: str
    largest: int
    unpacked: int
    remedy: str

    def write(self, path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
        """Write the file, whole or not at all."""
        with whole_file(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        return path

    def read(self, path: Path) -> dict[str, np.ndarray]:
        """All arrays by name.

        Raises:
            FoodkdError: missing, too large, damaged, or holding Python objects.
        """
        if not path.is_file():
            raise FoodkdError(f"{path} is missing; {self.remedy}")
        if path.stat().st_size > self.largest:
            raise FoodkdError(f"{path} is larger than any file of {self.holds} that foodkd writes; {self.remedy}")
        try:
            with zipfile.ZipFile(path) as archive:
                size = sum(member.file_size for member in archive.infolist())
                insist(size <= self.unpacked, "it unpacks to far too much")
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except Exception as error:  # a damaged archive raises anything: zlib.error, BadZipFile, MemoryError, EOFError
            raise FoodkdError(f"{path} holds no readable {self.holds} ({_reason(error)}); {self.remedy}") from None

    @contextmanager
    def parts(self, path: Path) -> Iterator[None]:
        """Within it, whatever is missing or wrong among the arrays becomes one sentence.

        Raises:
            FoodkdError: for every KeyError, ValueError, TypeError, IndexError and AttributeError.
        """
        try:
            yield
        except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            raise FoodkdError(f"{path} lacks or garbles a part ({_reason(error)}); {self.remedy}") from None


def _reason(error: Exception) -> str:
    said = str(error).strip("'\"").splitlines()
    return (said[0] if said else type(error).__name__)[:120]


__all__ = ["Kept", "insist"]
