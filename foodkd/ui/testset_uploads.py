"""A visitor's own photos, many at once: taken over from the upload, read a few at a time, bounded in every direction.

Nothing of a zip is ever unpacked to the disk; what was read is deleted; what stays is a small picture of each photo, in
the visitor's own session, and only while the photos of all visitors together are no more than `Trays` allows.
"""

import io
import shutil
import tempfile
import weakref
import zipfile
from abc import ABCMeta
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from foodkd.data import open_photo
from foodkd.errors import FoodkdError
from foodkd.explain.answers import Answers, labels_by_name, predict_batch
from foodkd.ui.session import BOTH, Desk, Photo, data_uri, fitted, plain_name

PHOTOS = 200  # of one visitor at a time
FILE_BYTES = 25_000_000  # of one file, also of one inside a zip
BATCH = 8  # photos between which other visitors get their turn
KEPT_SIDE = 320  # longest side of the picture that stays of a photo
ALL_PHOTOS = 2000  # kept for all visitors together
ENTRIES = 2000  # of one zip


def _paths(self: gr.File, payload: Any) -> list[str]:
    """The uploaded files' paths; Gradio's own way leaves an empty file behind for each."""
    files = [] if payload is None else getattr(payload, "root", [payload])
    return [str(file.path) for file in files]


# `gr.File` that hands over paths, made past Gradio's metaclass like the photo field of foodkd.ui.widgets.
PhotosInput: type[gr.File] = ABCMeta.__new__(
    type(gr.File), "PhotosInput", (gr.File,), {"preprocess": _paths, "is_template": True, "__module__": __name__}
)


@dataclass(frozen=True)
class Job:
    """One photo to read: its name, the folder that may name its class, and how to get its bytes."""

    name: str
    folder: str
    read: Callable[[], bytes]


@dataclass(frozen=True, eq=False)
class Kept:
    """What stays of a photo: what the networks see (R, R, 3), and the whole of it as a small JPEG."""

    name: str
    small: np.ndarray
    jpeg: bytes

    def picture(self) -> Image.Image:
        """The small picture of the whole photo."""
        return Image.open(io.BytesIO(self.jpeg)).convert("RGB")

    def photo(self, desk: Desk) -> Photo:
        """The photo for the other tabs: the networks see exactly what they saw, people see it small."""
        picture, preprocessing = self.picture(), desk.pair.preprocessing
        left, top, right, bottom = preprocessing.crop_box(*picture.size)
        crop = (left / picture.width, top / picture.height, right / picture.width, bottom / picture.height)
        square = np.asarray(preprocessing.square(picture))
        return Photo(self.small, square, data_uri(picture), crop, name=plain_name(PurePosixPath(self.name).stem))


class Tray:
    """One visitor's photos: what is still to be read, what was answered, and a sentence for each that could not be.

    Args:
        desk: the pair that answers.
        uploads: uploaded files; they are moved away from where they lie.
    """

    def __init__(self, desk: Desk, uploads: Sequence[Path]) -> None:
        """Take the files over and look into zips; no photo is opened yet."""
        self._desk = desk
        self._folder = Path(tempfile.mkdtemp(prefix="foodkd-photos-"))
        self._end = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self.problems: list[str] = []
        self.kept: list[Kept] = []
        self.answers: Answers | None = None
        self._folders: list[str] = []
        self._logits: dict[str, list[np.ndarray]] = {name: [] for name in BOTH}
        jobs = [job for number, path in enumerate(uploads) for job in self._taken(path, number)]
        if len(jobs) > PHOTOS:
            self.problems.append(f"{len(jobs):,} photos were given; only the first {PHOTOS} are answered.")
        self._jobs = jobs[:PHOTOS]
        self.total = len(self._jobs)
        self._finish_if_done()

    @property
    def waiting(self) -> int:
        """How many photos are still to be read."""
        return len(self._jobs)

    def step(self) -> None:
        """Read and answer the next few photos; after the last one, `answers` is there."""
        batch, self._jobs = self._jobs[:BATCH], self._jobs[BATCH:]
        read = [kept for job in batch if (kept := self._opened(job)) is not None]
        if read:
            logits = predict_batch(self._desk.pair, np.stack([one.small for one in read]), BOTH)
            for name in BOTH:
                self._logits[name].append(logits[name])
            self.kept += read
        self._finish_if_done()

    def forget(self) -> None:
        """Let the pictures go; the table of answers stays."""
        self.kept = []

    def _finish_if_done(self) -> None:
        if self._jobs:
            return
        self._end()
        if self.kept and self.answers is None:
            logits = {name: np.concatenate(parts) for name, parts in self._logits.items()}
            labels = labels_by_name(self._desk.pair.classes, self._folders)
            names = [one.name for one in self.kept]
            self.answers = Answers.of(self._desk.pair, logits, names, labels, dataset="own photos")

    def _opened(self, job: Job) -> Kept | None:
        try:
            file = io.BytesIO(job.read())
            file.name = job.name  # so that a sentence about it can name it
            picture = open_photo(file, shorter=self._desk.pair.preprocessing.enough)
        except FoodkdError as error:
            self.problems.append(str(error))
            return None
        jpeg = io.BytesIO()
        fitted(picture, KEPT_SIDE).save(jpeg, "JPEG", quality=85)
        self._folders.append(job.folder)
        return Kept(job.name, self._desk.pair.preprocessing.small(picture), jpeg.getvalue())

    def _taken(self, path: Path, number: int) -> list[Job]:
        """An uploaded file as jobs. Moved first: Gradio keeps equal files of two visitors in one place."""
        own = self._folder / str(number)
        try:
            shutil.move(path, own)
            if own.stat().st_size > FILE_BYTES:
                raise FoodkdError(f"'{path.name}' is larger than {FILE_BYTES // 10**6} MB; reduce it and try again.")
            if path.suffix.lower() == ".zip":
                return self._members(own, path.name)
        except OSError:
            self.problems.append(f"'{path.name}' did not arrive whole; upload it again.")
            return []
        except FoodkdError as error:
            self.problems.append(str(error))
            return []
        return [Job(path.name, "", partial(_read_once, own))]

    def _members(self, path: Path, name: str) -> list[Job]:
        jobs = []
        for member in _listed(path, name):
            try:
                _judge(member, name)
            except FoodkdError as error:
                self.problems.append(str(error))
                continue
            inside = PurePosixPath(member.filename)
            jobs.append(Job(member.filename, inside.parent.name, partial(_read_member, path, name, member.filename)))
        return jobs


class Trays:
    """All visitors' trays, held weakly: a session that ends takes its photos with it; too many, and the oldest go."""

    def __init__(self, limit: int = ALL_PHOTOS) -> None:
        """None yet."""
        self._limit = limit
        self._trays: list[weakref.ref[Tray]] = []

    def add(self, tray: Tray) -> Tray:
        """Keep an eye on one more."""
        self._trays = [one for one in self._trays if one() is not None]
        self._trays.append(weakref.ref(tray))
        return tray

    def trim(self) -> None:
        """Let the oldest trays forget their pictures until what is kept fits."""
        held = [tray for one in self._trays if (tray := one()) is not None]
        total = sum(len(tray.kept) for tray in held)
        for tray in held[:-1]:
            if total <= self._limit:
                return
            if not tray.waiting:
                total -= len(tray.kept)
                tray.forget()


# --- reading


def _read_once(path: Path) -> bytes:
    """A file's bytes; then it is gone."""
    content = path.read_bytes()
    path.unlink()
    return content


def _listed(path: Path, name: str) -> list[zipfile.ZipInfo]:
    """The files of a zip, without folders and what operating systems add. Raises FoodkdError for one that is none."""
    # Each entry begins with these signs: counted before anything is made of them.
    if path.read_bytes().count(b"PK\x01\x02") > ENTRIES:
        raise FoodkdError(f"'{name}' has more than {ENTRIES:,} entries; make a zip of at most {PHOTOS} photos.")
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
    except Exception as error:  # a damaged archive raises anything
        raise FoodkdError(f"'{name}' is no zip that can be read; make it anew.") from error
    hidden = ("__MACOSX", ".", "Thumbs.db", "desktop.ini")
    return [m for m in members if not any(part.startswith(hidden) for part in m.filename.split("/") if part != "..")]


def _judge(member: zipfile.ZipInfo, name: str) -> None:
    """Refuse what no honest zip of photos holds."""
    inside = member.filename
    shown = f"'{inside[:80]}' in '{name}'"
    if inside.startswith("/") or "\\" in inside or ":" in inside or ".." in inside.split("/"):
        raise FoodkdError(f"{shown} points outside the zip and is left out.")
    if member.flag_bits & 1:
        raise FoodkdError(f"{shown} is locked by a password; make a zip without one.")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FoodkdError(f"{shown} is packed in an unusual way; make a plain zip.")
    if member.file_size > FILE_BYTES:
        raise FoodkdError(f"{shown} unpacks to more than {FILE_BYTES // 10**6} MB and is left out.")


def _read_member(path: Path, name: str, member: str) -> bytes:
    """One file of a zip, in memory, never more of it than allowed whatever its head claims."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            content = file.read(FILE_BYTES + 1)
    except Exception as error:  # damaged bytes, a head that lies
        raise FoodkdError(f"'{member[:80]}' in '{name}' is damaged; make the zip anew.") from error
    if len(content) > FILE_BYTES:
        raise FoodkdError(f"'{member[:80]}' in '{name}' unpacks to more than {FILE_BYTES // 10**6} MB and is left out.")
    return content
