"""What each part of the method buys: the comparison that must stand behind any claim, in one command that resumes.

    python -m benchmarks.ablation --data DATA --set teacher.weights=FILE --set student.weights=FILE
    python -m benchmarks.ablation --table

Every run is one row (which terms teach the student), one seed and one share of the training labels. Within a seed all
rows have the same photos in the same order with the same crops, the same starting weights and the same number of
student steps. With `--head-start` every teacher has first learned alone for that many steps, on the same share of the
labels: a teacher that knows no more than the student has nothing to hand down. Nothing here sees a test photo: rows
are judged on photos held out of the training split, and with `--unused` on those that a share of the labels leaves.

A finished run leaves one small file in `docs/ablation/`, which is committed; runs that have one are not repeated. So
rows, seeds and shares can be added later and on other machines: the table is made of what is there.
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from foodkd import __version__
from foodkd.data import Photos, open_photos
from foodkd.distill import losses
from foodkd.errors import FoodkdError, run_command
from foodkd.explain import measure_agreement
from foodkd.files import whole_file
from foodkd.nets import Pair
from foodkd.train.loop import train
from foodkd.train.metrics import labels_for
from foodkd.train.recipe import Recipe, load_recipe

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "ablation"
STUDENT, TEACHER = "student", "teacher"


_MUTUAL = "distill.reverse=1"


@dataclass(frozen=True)
class Row:
    """One line of the table: what it is called, which terms it has, the settings that make it so.

    `judged` names the networks that it trains; `longer` multiplies the steps (a joint step costs the student's own
    about 2.6 times over: at equal compute the student alone has as many more); `tried` marks a weight other than the
    recipe's, tried to choose it: of interest to who trains, not part of what the app tells.
    """

    title: str
    terms: tuple[str, ...]
    settings: tuple[str, ...]
    judged: tuple[str, ...] = (TEACHER, STUDENT)
    longer: float = 1.0
    tried: bool = False

    @property
    def frozen(self) -> bool:
        """Whether its teacher has learned before, alone, and learns no more."""
        return "distill.mode=one-way" in self.settings

    @property
    def mutual(self) -> bool:
        """Whether its student moves the teacher as strongly as the teacher moves it (deep mutual learning)."""
        return _MUTUAL in self.settings


def _weighed(term: str, weight: float) -> Row:
    """Joint training with one further term at another weight than the recipe's."""
    other = {"mld": "iam", "iam": "mld"}[term]
    settings = (f"distill.{other}=0", f"distill.{term}={weight:g}")
    return Row(f"Joint + {term.upper()} at weight {weight:g}", ("ce", "kd", term), settings, tried=True)


def _softer(row: Row, kd: float, temperature: float = 2.0) -> Row:
    """A row whose teacher's answers count for more, or are softer: only their ratio to the labels' weight matters."""
    title = f"{row.title}, KD at weight {kd:g}" + (f", temperature {temperature:g}" if temperature != 2.0 else "")
    settings = (*row.settings, f"distill.kd={kd:g}", f"distill.temperature={temperature:g}")
    return replace(row, title=title, settings=settings, tried=True)


def _mutual(row: Row) -> Row:
    """A row whose student moves the teacher as strongly as the teacher moves it (deep mutual learning)."""
    title = f"{row.title}, both ways alike (r = 1)"
    return replace(row, title=title, settings=(*row.settings, _MUTUAL))


_ONE_WAY = Row(
    "One-way distillation", ("ce", "kd"), ("distill.mode=one-way", "distill.mld=0", "distill.iam=0"), (STUDENT,)
)
_JOINT = Row("Joint", ("ce", "kd"), ("distill.mld=0", "distill.iam=0"))
_FULL = Row("Joint + MLD + IAM", ("ce", "kd", "mld", "iam"), ())
_OWN = Row("Joint + MLD + IAM of the photo's own part", _FULL.terms, ("distill.iam_own=true",), tried=True)
_STRONG = Row("Joint + MLD at weight 1 + IAM at weight 3", _FULL.terms, ("distill.mld=1", "distill.iam=3"), tried=True)

ROWS = {
    "student-alone": Row("Student alone", ("ce",), ("distill.mode=student-alone",), (STUDENT,)),
    "student-alone-compute": Row(
        "Student alone, equal compute (2.6 × the steps)", ("ce",), ("distill.mode=student-alone",), (STUDENT,), 2.6
    ),
    "one-way": _ONE_WAY,
    "one-way-kd-3": _softer(_ONE_WAY, 3),
    "one-way-kd-10": _softer(_ONE_WAY, 10),
    "one-way-kd-3-tau-4": _softer(_ONE_WAY, 3, 4),
    "joint-kd": _JOINT,
    "joint-kd-r-1": _mutual(_JOINT),
    "joint-kd-mld": Row("Joint + MLD", ("ce", "kd", "mld"), ("distill.iam=0",)),
    "joint-kd-mld-1": _weighed("mld", 1.0),
    "joint-kd-iam": Row("Joint + IAM", ("ce", "kd", "iam"), ("distill.mld=0",)),
    "joint-kd-iam-0.3": _weighed("iam", 0.3),
    "joint-kd-iam-3": _weighed("iam", 3.0),
    "full": _FULL,
    "full-r-1": _mutual(_FULL),
    "full-own": _OWN,
    "full-own-r-1": _mutual(_OWN),
    "full-strong-r-1": _mutual(_STRONG),
    "full-kd-3": _softer(_FULL, 3),
    "full-kd-10": _softer(_FULL, 10),
    "full-kd-3-tau-4": _softer(_FULL, 3, 4),
    "teacher-alone": Row("Teacher alone", ("ce",), ("distill.mode=teacher-alone",), (TEACHER,)),
}
# Not a line of the table: the teacher before it meets a student. One for all seeds, so that they can be averaged.
HEAD, HEAD_SEED = "head-start", 0
ROWS[HEAD] = Row("Head start of the teacher", ("ce",), ("distill.mode=teacher-alone",), (TEACHER,))
# In the order of what is missed most when there is time for only some of them.
FIRST = ("student-alone", "full", "teacher-alone", "one-way", "joint-kd", "joint-kd-iam", "joint-kd-mld")


# --- one run


def recipe_of(options: argparse.Namespace, row: str, seed: int, share: float, out: Path) -> Recipe:
    """The recipe of one run: the base with the row's settings, the seed, the share of labels and the fixed budget."""
    settings = [*options.set, *ROWS[row].settings, f"seed={seed}", f"data.holdout={options.holdout}"]
    settings += ["train.keep_weights=false"]
    steps = options.head_start if row == HEAD else round(options.steps * ROWS[row].longer)
    teacher = _teacher_of(options, row, seed, share, out)
    if teacher is not None:
        settings.append(f"teacher_checkpoint={teacher / 'last'}")
    base = load_recipe(options.recipe, settings)
    limit = _per_class(base, options.data, share)
    photos = len(_photos(base, options.data, "train", limit))
    epochs = steps / max(1, photos // base.train.batch_size)
    budget = [f"train.epochs={epochs}", f"train.evaluate_every={epochs}"]
    return load_recipe(options.recipe, [*settings, *budget, *([] if limit is None else [f"data.limit={limit}"])])


def _teacher_of(options: argparse.Namespace, row: str, seed: int, share: float, out: Path) -> Path | None:
    """The run whose teacher a run begins with: its seed's own lone one where that stays frozen, else the head start."""
    if ROWS[row].frozen:
        return _run(out, "teacher-alone", seed, share)
    if row == HEAD or not options.head_start or TEACHER not in ROWS[row].judged:
        return None
    return _run(out, HEAD, HEAD_SEED, share)


def _per_class(recipe: Recipe, data: Path | None, share: float) -> int | None:
    """Photos of each class that make up this share of the labels; None for all of them."""
    if share == 1:
        return None
    photos = _photos(recipe, data, "train", None)
    return max(2, round(share * len(photos) / len(photos.classes)))


def _judges(options: argparse.Namespace, recipe: Recipe) -> list[Photos]:
    """The photos that judge: those held out, then `--unused` of each class that the share of the labels leaves."""
    held = _photos(recipe, options.data, "validation")
    if not options.unused:
        return [held]
    limit = cast(int, recipe.data.limit)
    used = set(_photos(recipe, options.data, "train", limit).ids)
    more = _photos(recipe, options.data, "train", limit + options.unused)  # a larger limit holds all of a smaller one's
    return [held, more.subset([i for i, name in enumerate(more.ids) if name not in used])]


def _photos(recipe: Recipe, data: Path | None, split: str, limit: int | None = None) -> Photos:
    s = recipe.data
    common: dict[str, Any] = {"resolution": s.resolution, "holdout": s.holdout, "seed": 0, "limit": limit}
    return open_photos(s.dataset, data, split, **common, **s.options)


def _run(out: Path, row: str, seed: int, share: float) -> Path:
    return out / f"{share:g}-{seed}-{row}"


def run_one(options: argparse.Namespace, row: str, seed: int, share: float) -> Path:
    """Train one run (or go on with it), judge it, write its result."""
    kept = options.results / f"{share:g}-{seed}-{row}.json"
    if kept.exists():
        return kept
    if options.unused and share == 1:  # said before hours of training
        raise FoodkdError("With all labels in use no photos are left for --unused; leave it out, or --shares below 1.")
    if ROWS[row].frozen:  # its teacher is that seed's own
        run_one(options, "teacher-alone", seed, share)
    elif options.head_start and TEACHER in ROWS[row].judged:
        _train(options, HEAD, HEAD_SEED, share)
    recipe, folder = _train(options, row, seed, share)
    pair = Pair.load(folder / "last")  # not "best": choosing by the photos that judge would flatter
    result = judged(pair, _judges(options, recipe), ROWS[row].judged)
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    result |= {"row": row, "seed": seed, "share": share, "steps": history[-1]["step"]}
    result["budget"] = {**budget(recipe), "head_start": options.head_start}
    result["command"] = command(options)
    result["training"] = {key: value for key, value in history[-1].items() if isinstance(value, float)}
    kept.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(kept) as temporary:
        temporary.write_text(json.dumps(result) + "\n", encoding="utf-8")
    print(f"{kept.stem}: {_said(result)}", flush=True)
    return kept


def _train(options: argparse.Namespace, row: str, seed: int, share: float) -> tuple[Recipe, Path]:
    """The run's recipe and folder, once it is finished."""
    recipe, folder = recipe_of(options, row, seed, share, options.out), _run(options.out, row, seed, share)
    if not (folder / "finished").exists():
        print(f"{folder.name}: training", flush=True)
        train(recipe, data=options.data, out=folder, quiet=options.quiet)
    elif json.loads((folder / "recipe.json").read_text(encoding="utf-8")) != json.loads(recipe.model_dump_json()):
        raise FoodkdError(f"{folder} was trained with other settings than these; give another folder with --out.")
    return recipe, folder


def command(options: argparse.Namespace) -> str:
    """What all runs of a table are started with; without what differs between machines.

    Files go by their names; the precision of the passes is what a processor is fast in.
    """
    pairs = [one.partition("=") for one in options.set if not one.partition("=")[0].endswith(".precision")]
    given = [f"{key}={Path(value).name if key.endswith('.weights') else value}" for key, _, value in pairs]
    own = {"recipe": Path(options.recipe).name, "head-start": options.head_start, "steps": options.steps}
    own |= {"holdout": options.holdout, **({"unused": options.unused} if options.unused else {})}
    words = ["python", "-m", "benchmarks.ablation", "--data", "DATA"]
    words += [str(word) for key, value in own.items() for word in (f"--{key}", value)]
    return shlex.join([*words, *(word for one in given for word in ("--set", one))])


def budget(recipe: Recipe) -> dict[str, Any]:
    """What all rows of a table must have in common."""
    train_settings = recipe.train.model_dump(
        include={"batch_size", "schedule", "warmup", "ema", "coarse", "coarse_scale"}
    )
    sizes = {"teacher": recipe.teacher.size, "student": recipe.student.size}
    frozen = {"teacher": recipe.teacher_learning.frozen_stages, "student": recipe.student_learning.frozen_stages}
    names = {"teacher": recipe.teacher.backbone, "student": recipe.student.backbone}
    rates = {"teacher": recipe.teacher_learning.rate, "student": recipe.student_learning.rate}
    return {**train_settings, "sizes": sizes, "frozen_stages": frozen, "backbones": names, "rates": rates}


def judged(pair: Pair, photos: Sequence[Photos], names: Sequence[str]) -> dict[str, Any]:
    """Right or wrong per photo for each network, and, where both learned, how alike their maps of the label are.

    Args:
        pair: the networks.
        photos: one or more sets; all of them judge the answers, the first the maps.
        names: the networks to be judged.

    Returns:
        {"photos": N, "teacher"/"student": {"top1", "top5", "right": hex bits of N photos}, "iam": {"matched": mean,
        "mismatched": mean, "per_photo": hundredths as integers}, "stages": Grad-CAM agreement by stage on 303 photos}.
    """
    looks = [looked(pair, one, names) for one in photos]
    result: dict[str, Any] = {"photos": sum(map(len, photos))}
    right = torch.cat([labels for _, _, labels in looks])
    result |= {name: _rates(torch.cat([logits[name] for logits, _, _ in looks]), right) for name in names}
    if len(names) == 2:
        first, (_, maps, labels) = photos[0], looks[0]
        result["iam"] = _agreement(maps[TEACHER], maps[STUDENT])
        some = np.linspace(0, len(first) - 1, min(303, len(first))).astype(int)
        stages = measure_agreement(pair, list(first.read(some)), labels[some].tolist(), methods=("gradcam",))
        result["stages"] = {key: value.to_json() for key, value in stages.items()}
    return result


def looked(
    pair: Pair, photos: Photos, names: Sequence[str], *, batch: int = 64
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], torch.Tensor]:
    """What each network says of every photo, and where it looks for the label.

    Returns:
        Logits (N, K); maps of the label less their own mean, on the grid of the IAM loss, (N, P); labels (N,).
    """
    labels = labels_for(pair, photos)
    logits: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    maps: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    onto = _grids(pair)
    for start in range(0, len(photos), batch):
        rows = np.arange(start, min(start + batch, len(photos)))
        small = photos.read(rows)
        for name in names:
            with torch.inference_mode():
                tapped = pair.networks[name](pair.tensor(name, small))
                own = losses.instance_maps(tapped.stages[-1], pair.networks[name].head_weight, labels[rows])
                flat = torch.einsum("ih,bnhw,jw->bnij", onto[name], own, onto[name]).flatten(1)
            logits[name].append(tapped.logits)
            maps[name].append(flat - flat.mean(1, keepdim=True))
    return {n: torch.cat(logits[n]) for n in names}, {n: torch.cat(maps[n]) for n in names}, labels


def _grids(pair: Pair) -> dict[str, torch.Tensor]:
    sizes = (pair.sizes[TEACHER], pair.sizes[STUDENT])
    ends = [pair.networks[n].geometry(s)[-1] for n, s in zip((TEACHER, STUDENT), sizes, strict=True)]
    return dict(zip((TEACHER, STUDENT), losses.common_grid(ends[0], ends[1], sizes), strict=True))


def _rates(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
    best = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
    first = best[:, 0].numpy()
    rates = {"top1": float(first.mean()), "top5": float(best.any(1).float().mean())}
    return {**rates, "right": np.packbits(first).tobytes().hex()}


def cosines(teacher: torch.Tensor, student: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Centred cosine of each photo's two maps, and of maps of different photos (each with the 37th after it): (N,)."""
    similarity = torch.nn.functional.cosine_similarity
    return similarity(teacher, student, dim=1), similarity(teacher, student.roll(37, 0), dim=1)


def _agreement(teacher: torch.Tensor, student: torch.Tensor) -> dict[str, Any]:
    cosine, other = cosines(teacher, student)
    per_photo = (cosine * 100).round().to(torch.int64).tolist()
    return {"matched": float(cosine.mean()), "mismatched": float(other.mean()), "per_photo": per_photo}


def _said(result: Mapping[str, Any]) -> str:
    return ", ".join(f"{n} {100 * result[n]['top1']:.1f} %" for n in (TEACHER, STUDENT) if n in result)


# --- the table


def table(results: Path) -> dict[str, Any]:
    """The ablation as the app's lesson and docs/results.md read it, from the result files; all labels first.

    Raises:
        FoodkdError: no results, or results of different budgets, commands or numbers of steps.
    """
    runs = read_runs(results)
    common = {json.dumps([run["budget"], run["photos"], run["command"]], sort_keys=True) for run in runs}
    steps = {(ROWS[run["row"]].longer, run["steps"]) for run in runs}
    if len(common) > 1 or len(steps) > len({longer for longer, _ in steps}):
        raise FoodkdError(f"{results} holds results of different budgets or commands, which can't stand in one table.")
    shares = sorted({run["share"] for run in runs}, reverse=True)
    rows = [line for share in shares for line in _lines([run for run in runs if run["share"] == share])]
    head = {"format": 1, "command": runs[0]["command"], "made": f"foodkd {__version__}"}
    head |= {"steps": min(run["steps"] for run in runs), "photos": runs[0]["photos"]}
    head |= {"rate": runs[0]["budget"]["rates"][STUDENT]}
    of = "all labels" if shares == [1] else f"{100 * shares[0]:g} % of the labels"
    head["title"] = f"{head['steps']:,} steps" + (f" with {of}" if len(shares) == 1 else "")
    return {**head, "setting": _setting(runs), "rows": rows}


def read_runs(results: Path) -> list[dict[str, Any]]:
    """Every finished run's result. Raises FoodkdError where there is none."""
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*-*-*.json"))]
    if not runs:
        raise FoodkdError(f"{results} holds no results; run benchmarks/ablation.py first.")
    return runs


def _lines(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of one share of the labels."""
    by_row = {row: [run for run in runs if run["row"] == row] for row in ROWS}
    return [_line(row, found, by_row) for row, found in by_row.items() if found]


def _setting(runs: Sequence[Mapping[str, Any]]) -> str:
    """What all rows have in common, in words."""
    b = runs[0]["budget"]
    frozen = max(b["frozen_stages"].values())
    first = "stage" if frozen == 1 else f"{frozen} stages"
    still = f", the first {first} as in the starting weights" if frozen else ""
    coarse = round(100 * b["coarse"])
    sizes = f"{b['sizes']['student']} px inputs" + (f" ({coarse} % of the steps on smaller ones)" if coarse else "")
    ahead = f" after {b['head_start']:,} steps of the teacher alone" if b["head_start"] else ""
    rate = f", the student's learning rate {b['rates']['student']:g}"
    return (
        f"{min(run['steps'] for run in runs):,} student steps of {b['batch_size']} photos{ahead}, {sizes}{still}"
        f"{rate}; judged on {runs[0]['photos']:,} photos of the training split that no run learned from"
    )


def _line(
    row: str, runs: Sequence[Mapping[str, Any]], by_row: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, Any]:
    one = ROWS[row]
    rates = {
        name: {key: [run[name][key] for run in runs] for key in ("top1", "top5")} if name in one.judged else None
        for name in (STUDENT, TEACHER)
    }
    maps = [run["iam"] for run in runs if "iam" in run]
    agreement = {f"iam_cosine{end}": [m[key] for m in maps] for key, end in _IAM.items()} if maps else None
    line = {"row": row, "title": one.title, "terms": list(one.terms), "share": runs[0]["share"]}
    line |= {"seeds": [run["seed"] for run in runs], **rates, "agreement": agreement}
    order = list(ROWS)
    for key, other in COMPARED.items():
        to = _compared_with(row, other)
        compared = STUDENT in one.judged and order.index(row) > order.index(to)
        line[key] = difference(runs, by_row[to], to=to) if compared else None
    learned = TEACHER in one.judged and row != ALONE
    line["teacher_difference"] = difference(runs, by_row[ALONE], to=ALONE, network=TEACHER) if learned else None
    return line


def _compared_with(row: str, other: str) -> str:
    """The row to compare with: of two ways to train the teacher, the row's own."""
    twin = _mutual(ROWS[other])
    twins = [key for key, one in ROWS.items() if ROWS[row].mutual and one == twin and key != row]
    return twins[0] if twins else other


COMPARED = {
    "difference": "student-alone",
    "beyond_compute": "student-alone-compute",
    "beyond_one_way": "one-way",
    "beyond_joint": "joint-kd",
    "beyond_full": "full",
}
"""What a row's student is compared with, photo by photo: a key of the row -> a row before it."""
ALONE = "teacher-alone"
_IAM = {"matched": "", "mismatched": "_mismatched"}


def difference(
    runs: Iterable[Mapping[str, Any]],
    others: Iterable[Mapping[str, Any]],
    *,
    to: str = "student-alone",
    network: str = STUDENT,
    samples: int = 10_000,
) -> dict[str, Any] | None:
    """The students' (teachers') gain in top-1 over those of row `to`, paired by seed and photo, with its 95 % interval.

    The bootstrap (Efron, 1979) draws photos anew, and seeds where there are several; with one seed it says nothing of
    how much another seed would change, with two or three it says so roughly.

    Returns:
        {"to", "mean", "low", "high", "by_seed": mean of each seed}, rates in -1..1; None where no seed has both.
    """
    base = {run["seed"]: run for run in others}
    pairs = [(run, base[run["seed"]]) for run in runs if run["seed"] in base]
    if not pairs:
        return None
    gains = np.stack([was_right(run, network) - was_right(other, network) for run, other in pairs])
    low, high = np.quantile(_drawn(gains, samples), [0.025, 0.975])
    by_seed = gains.mean(1).tolist()
    return {"to": to, "mean": float(gains.mean()), "low": float(low), "high": float(high), "by_seed": by_seed}


def _drawn(gains: np.ndarray, samples: int) -> np.ndarray:
    """(samples,) mean gains, of gains (seeds, photos), when photos are drawn anew and seeds beside them.

    The two draws' deviations add up: drawing both at once would count three times what is neither the seed's nor the
    photo's own (Owen, 2007). One seed fewer is drawn than there are: few vary too little else (Rao and Wu, 1988).
    """
    seeds, photos = gains.shape
    random = np.random.default_rng(0)
    # Few values occur, so drawing how often each of them does is drawing photos.
    values, counts = np.unique(gains.mean(0), return_counts=True)
    over_photos = random.multinomial(photos, counts / photos, size=samples) @ values / photos
    by_seed = gains.mean(1)
    over_seeds = random.choice(by_seed, (samples, max(1, seeds - 1))).mean(1)
    return cast(np.ndarray, over_photos + over_seeds - by_seed.mean())


def was_right(run: Mapping[str, Any], network: str = STUDENT) -> np.ndarray:
    """(N,) 1 where the network's first answer is right, else 0."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(run[network]["right"]), np.uint8))
    return cast(np.ndarray, bits[: run["photos"]].astype(np.int64))


def markdown(made: Mapping[str, Any]) -> str:
    """The table for docs/results.md, without comparisons that none of its rows has."""
    gains = {key: head for key, head in _HEADS.items() if any(row[key] for row in made["rows"])}
    own = gains.pop("teacher_difference", None)
    heads = ["what teaches the student", "seeds", "student top-1", "top-5", *gains.values(), "teacher top-1"]
    heads += [*([own] if own else []), "IAM cosine, same photo / other"]
    lines = [f"| {' | '.join(heads)} |", "|---" + "|--:" * (len(heads) - 1) + "|"]
    for row in made["rows"]:
        cells = [str(len(row["seeds"])), _mean(row["student"], "top1"), _mean(row["student"], "top5")]
        cells += [*(interval(row[key]) for key in gains), _mean(row["teacher"], "top1")]
        cells += [interval(row["teacher_difference"])] if own else []
        a = row["agreement"]
        cells.append(f"{np.mean(a['iam_cosine']):.2f} / {np.mean(a['iam_cosine_mismatched']):.2f}" if a else "–")
        numbers = " | ".join(cells).replace("-", "\N{MINUS SIGN}")
        lines.append(f"| {_titled(row)} | {numbers} |")
    return "\n".join(lines) + "\n"


_HEADS = {
    "difference": "gain on the student alone (95 %)",
    "beyond_compute": "on it at equal compute",
    "beyond_one_way": "on one-way",
    "beyond_joint": "on joint",
    "beyond_full": "on the full method",
    "teacher_difference": "its gain on the teacher alone (95 %)",
}


def interval(d: Mapping[str, float] | None) -> str:
    """A difference in points with its 95 % interval; a dash where there is none."""
    if d is None:
        return "–"
    said = f"{100 * d['mean']:+.1f} ({100 * d['low']:+.1f} to {100 * d['high']:+.1f})"
    return said.replace("-", "\N{MINUS SIGN}")


def _titled(row: Mapping[str, Any]) -> str:
    return row["title"] + (f", {100 * row['share']:g} % of the labels" if row["share"] < 1 else "")


def _mean(rates: Mapping[str, Sequence[float]] | None, key: str) -> str:
    if rates is None:
        return "–"
    values = 100 * np.array(rates[key])
    return f"{values.mean():.1f}" + (f" ± {values.std(ddof=1):.1f}" if len(values) > 1 else "")


def figure(made: Mapping[str, Any], path: Path) -> None:
    """The gains on the student alone with their intervals, one panel for each share of the labels."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [row for row in made["rows"] if row["difference"]]
    shares = sorted({row["share"] for row in rows}, reverse=True)
    panels = [[row for row in reversed(rows) if row["share"] == share] for share in shares]
    heights = [len(panel) for panel in panels]
    drawn, every = plt.subplots(
        len(panels) or 1, sharex=True, squeeze=False, layout="constrained",
        figsize=(8, 0.36 * sum(heights) + 0.4 * len(panels) + 0.6), height_ratios=heights or None,
    )  # fmt: skip
    for axes, panel in zip(every.flat, panels, strict=False):
        _gains(axes, panel)
    every.flat[-1].set_xlabel("gain in top-1 on the student alone, points (95 %)")
    with whole_file(path) as temporary:
        drawn.savefig(temporary, format="png", dpi=150)
    plt.close(drawn)


def _gains(axes: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """One panel: a row of dots with their intervals, the first row of the table on top."""
    for place, row in enumerate(rows):
        d = {key: 100 * value for key, value in row["difference"].items() if key != "to"}
        axes.plot([d["low"], d["high"]], [place, place], color="#7a4b2a", linewidth=2)
        axes.plot([d["mean"]], [place], "o", color="#7a4b2a")
    axes.axvline(0, color="#888888", linewidth=1)
    axes.set_yticks(range(len(rows)), [row["title"] for row in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_title(f"{100 * rows[0]['share']:g} % of the labels", loc="left", fontsize="medium", fontweight="bold")
    axes.grid(axis="x", color="#e5ded6")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)


def write_table(results: Path, out: Path | None, also: Sequence[Path] = ()) -> dict[str, Any]:
    """Write table.md, table.json and gains.png beside the results, and what the app tells of it into a checkpoint.

    `also`: results of other budgets, tables of their own that the app shows after it.
    """
    made = table(results)
    files = {results / "table.json": made}
    if out is not None:
        first, *others = _told([made, *map(table, also)])
        files[out / "ablation.json"] = {**first, "also": others}
    for path, content in files.items():
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with whole_file(results / "table.md") as temporary:
        temporary.write_text(markdown(made), encoding="utf-8")
    figure(made, results / "gains.png")
    return made


def _told(tables: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The tables without the weights that were only tried, their rates in the titles where these differ."""
    differ = len({made["rate"] for made in tables}) > 1
    titles = [made["title"] + (f", at a learning rate of {made['rate']:g}" if differ else "") for made in tables]
    rows = [[row for row in made["rows"] if not ROWS[row["row"]].tried] for made in tables]
    return [{**m, "title": title, "rows": kept} for m, title, kept in zip(tables, titles, rows, strict=True)]


def add_options(parser: argparse.ArgumentParser, *, out: Path, results: Path) -> None:
    """The options of every benchmark that trains what is missing and tables what is there."""
    parser.add_argument("--recipe", default="food101-64", help="the base recipe")
    parser.add_argument("--data", type=Path, help="the dataset's root")
    parser.add_argument("--out", type=Path, default=out, help="where the runs live")
    parser.add_argument("--results", type=Path, default=results, help="where one small file a run is kept")
    parser.add_argument("--steps", type=int, default=400, help="student steps")
    parser.add_argument("--holdout", type=float, default=0.04, help="share of the training photos that judges")
    parser.add_argument("--unused", type=int, default=0, help="photos of each class that a share leaves: judges, too")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for every run")
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--table", action="store_true", help="only write the table")


def main() -> None:
    """Run what is missing, or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_options(parser, out=Path("runs/ablation"), results=RESULTS)
    parser.add_argument("--rows", nargs="+", choices=[row for row in ROWS if row != HEAD], default=list(FIRST))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--shares", nargs="+", type=float, default=[1.0], help="of the training labels")
    parser.add_argument("--head-start", type=int, default=0, help="steps that the teacher learns alone before all rows")
    parser.add_argument("--checkpoint", type=Path, help="also put the table into this checkpoint folder")
    parser.add_argument("--also", type=Path, nargs="+", default=[], help="results of other budgets, to go with it")
    options = parser.parse_args()
    if not options.table:
        for seed in options.seeds:
            for share in options.shares:
                for row in options.rows:
                    run_one(options, row, seed, share)
    print(markdown(write_table(options.results, options.checkpoint, options.also)))


if __name__ == "__main__":
    run_command(main)
