"""What each term of the objective bought: `ablation.json`, as benchmarks/ablation.py writes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from foodkd.errors import FoodkdError

FORMAT = 1


class Rates(BaseModel):
    """Right answers of one network over the seeds, each 0..1."""

    model_config = ConfigDict(frozen=True)

    top1: tuple[float, ...]
    top5: tuple[float, ...] = ()


class MapCosines(BaseModel):
    """Cosine of both networks' maps over the seeds, of the same photo and of unrelated ones."""

    model_config = ConfigDict(frozen=True)

    iam_cosine: tuple[float, ...]
    iam_cosine_mismatched: tuple[float, ...] = ()


class Difference(BaseModel):
    """How much more often a network is right than that of row `to`: mean and 95 % interval, as shares.

    `by_seed`: the mean of each seed that both rows have.
    """

    model_config = ConfigDict(frozen=True)

    to: str
    mean: float
    low: float
    high: float
    by_seed: tuple[float, ...] = ()


class Row(BaseModel):
    """One way to train, and how far its student is ahead of others, each of the same share of the labels.

    `difference` is to the student alone, `beyond_compute` to the student alone with as much compute, `beyond_one_way`
    to the student of a frozen teacher, `beyond_joint` to that of joint training on the answers, `teacher_difference` of
    the teacher to the teacher alone; None where that was not trained.
    """

    model_config = ConfigDict(frozen=True)

    row: str
    title: str
    terms: tuple[str, ...] = ()
    share: float = 1.0
    seeds: tuple[int, ...] = ()
    student: Rates | None = None
    teacher: Rates | None = None
    agreement: MapCosines | None = None
    difference: Difference | None = None
    beyond_compute: Difference | None = None
    beyond_one_way: Difference | None = None
    beyond_joint: Difference | None = None
    teacher_difference: Difference | None = None


class Ablation(BaseModel):
    """The table: rows in the order to be shown, and tables of other budgets to be shown after it.

    `steps` are the student's in every row but those that say otherwise; `title` tells the table from the others.
    """

    model_config = ConfigDict(frozen=True)

    format: int
    command: str
    made: str = ""
    title: str = ""
    setting: str
    rows: tuple[Row, ...]
    photos: int | None = None
    steps: int | None = None
    also: tuple[Ablation, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Ablation:
        """Read the file.

        Raises:
            FoodkdError: unreadable, or of another format.
        """
        try:
            found = cls.model_validate_json(path.read_bytes())
        except (ValidationError, OSError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise FoodkdError(
                f"{path} is no ablation that this foodkd reads ({reason}); make it with benchmarks/ablation.py."
            ) from None
        if found.format != FORMAT:
            raise FoodkdError(f"{path} has format {found.format}, this foodkd reads {FORMAT}; make it anew.")
        return found


@dataclass(frozen=True)
class Summary:
    """Mean over seeds, and their standard deviation (n - 1) where there are several."""

    mean: float
    deviation: float | None


def summary(values: Any) -> Summary | None:
    """Mean and standard deviation of one value per seed; None where there is no value."""
    row = np.asarray(values, float)
    if row.size == 0:
        return None
    return Summary(float(row.mean()), float(row.std(ddof=1)) if row.size > 1 else None)


__all__ = ["Ablation", "Difference", "MapCosines", "Rates", "Row", "Summary", "summary"]
