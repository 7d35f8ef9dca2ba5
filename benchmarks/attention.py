"""What attention learns: do teacher and student come to look at the same place, and does it go with being right?

    python -m benchmarks.attention epochs runs/joint --data DATA [--start PAIR] [--offset EPOCHS] [--after FILE]
    python -m benchmarks.attention photos checkpoints/food101-64 --data DATA
    python -m benchmarks.attention faithfulness checkpoints/food101-64 --data DATA
    python -m benchmarks.attention own PAIR ... --data DATA [--called NAME ...]
    python -m benchmarks.attention terms docs/ablation-tuned ...

`epochs`: agreement of the maps above that of mismatched photos, by stage, at every evaluation of a run (its kept
weights), after the points of an earlier leg (its epochs.json). `photos`: how the agreement of a photo's (a class's)
maps goes with the student's being right about it. `faithfulness`: mean areas under deletion and insertion curves of
both networks, beside chance and the usual class activation map. `own`: agreement of maps less each network's mean map,
which is alike for all photos since food lies in the middle. `terms`: what the IAM term did to the agreement in the runs
of the ablation. All on photos held out of the training split. Each writes a .json, a .md table and, where there is one,
a .png figure to docs/attention (or --out).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.ablation import cosines, looked, read_runs, was_right
from foodkd.data import Photos, open_photos
from foodkd.errors import run_command
from foodkd.explain import Explanation, Faithfulness, measure_agreement
from foodkd.explain import faithfulness as put_to_the_test
from foodkd.explain.faithfulness import rank_correlation
from foodkd.files import whole_file
from foodkd.nets import Pair

NETWORKS = ("teacher", "student")


def _validation(pair: Pair, data: Path) -> Photos:
    settings = pair.info["recipe"]["data"]
    common = {"resolution": settings["resolution"], "holdout": settings["holdout"], "seed": 0}
    return open_photos("food101", data, "validation", **common)


def _some(photos: Photos, count: int) -> np.ndarray:
    """Rows of `count` photos, spread evenly over the classes."""
    return np.linspace(0, len(photos) - 1, min(count, len(photos))).astype(int)


def _write(out: Path, name: str, found: dict[str, Any], table: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with whole_file(out / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    with whole_file(out / f"{name}.md") as temporary:
        temporary.write_text(table, encoding="utf-8")
    print(table)


# --- by stage and epoch


def epochs(options: argparse.Namespace) -> None:
    """Agreement above mismatched photos at every evaluation of a run."""
    found = json.loads(options.after.read_text("utf-8"))["points"] if options.after else []
    history = [json.loads(line) for line in (options.source / "history.jsonl").read_text("utf-8").splitlines()]
    points = [(options.offset, options.start)] if options.start else []
    folders = sorted((options.source / "weights").iterdir())
    points += [(options.offset + line["epoch"], folder) for line, folder in zip(history, folders, strict=True)]
    for epoch, folder in points:
        pair = Pair.load(folder)
        photos = _validation(pair, options.data)
        rows = _some(photos, options.photos)
        smalls, labels = list(photos.read(rows)), photos.labels[rows].tolist()
        measured = measure_agreement(pair, smalls, labels, methods=("gradcam",))
        found.append({"epoch": epoch, "maps": {key: value.to_json() for key, value in measured.items()}})
        print(f"epoch {epoch:.2f} measured", flush=True)
    keys = list(found[0]["maps"])
    lines = [f"| epoch | {' | '.join(keys)} |", "|--:" * (len(keys) + 1) + "|"]
    for point in found:
        cells = [f"{_above(point, key):+.2f}".replace("-", "\N{MINUS SIGN}") for key in keys]
        lines.append(f"| {point['epoch']:.2f} | {' | '.join(cells)} |")
    _write(options.out, "epochs", {"photos": len(smalls), "points": found}, "\n".join(lines) + "\n")
    _draw_epochs(found, keys, options.out / "epochs.png")


def _above(point: dict[str, Any], key: str) -> float:
    """Centred cosine of the same photo's maps minus that of different photos'."""
    one = point["maps"][key]
    return float(one["matched"]["cosine_centred"] - one["mismatched"]["cosine_centred"])


def _draw_epochs(found: Sequence[dict[str, Any]], keys: Sequence[str], path: Path) -> None:
    def draw(axes: Any) -> None:
        for key in keys:
            xs, ys = [p["epoch"] for p in found], [_above(p, key) for p in found]
            axes.plot(xs, ys, "o-", label=key, linewidth=2 if key == "iam" else 1)
        axes.set_xlabel("epochs")
        axes.set_ylabel("centred cosine above unrelated photos")
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        axes.legend(frameon=False)

    _figure(draw, path)


def _figure(draw: Callable[[Any], None], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    drawn, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    draw(axes)
    axes.spines[["top", "right"]].set_visible(False)
    with whole_file(path) as temporary:
        drawn.savefig(temporary, format="png", dpi=130)
    plt.close(drawn)


# --- agreement and accuracy


def photos(options: argparse.Namespace) -> None:
    """How the agreement of a photo's maps goes with the student's and the teacher's being right."""
    pair = Pair.load(options.source)
    held = _validation(pair, options.data)
    cosine, other, right, labels = _per_photo(pair, held)
    found = {"photos": len(held), "mean_cosine": float(cosine.mean()), "mean_cosine_mismatched": float(other.mean())}
    found["by_photo"] = {name: _point_biserial(cosine, right[name]) for name in NETWORKS}
    found["by_class"] = {name: _class_correlation(cosine, right[name], labels) for name in NETWORKS}
    cuts = np.quantile(cosine, [0.25, 0.5, 0.75])
    quarter = np.searchsorted(cuts, cosine)
    found["by_quarter"] = {name: [float(right[name][quarter == q].mean()) for q in range(4)] for name in NETWORKS}
    lines = ["| quarter of the photos by agreement | teacher right | student right |", "|---|--:|--:|"]
    names = ("least alike", "second", "third", "most alike")
    for q, name in enumerate(names):
        rates = " | ".join(f"{100 * found['by_quarter'][n][q]:.1f} %" for n in NETWORKS)
        lines.append(f"| {name} | {rates} |")
    means = f"{found['mean_cosine']:.2f} in the mean, {found['mean_cosine_mismatched']:.2f} with different photos"
    lines += ["", f"- Centred cosine of the maps as the loss compares them: {means}."]
    for name in NETWORKS:
        one, two = found["by_photo"][name], found["by_class"][name]
        lines.append(f"- {name}: correlation by photo {_interval(one)}, rank correlation by class {_interval(two)}.")
    _write(options.out, "photos", found, "\n".join(lines) + "\n")


def _per_photo(pair: Pair, held: Photos) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Centred cosine of each photo's two maps as the IAM loss has them, of different photos', and who is right."""
    logits, maps, labels = looked(pair, held, NETWORKS)
    cosine, other = cosines(*maps.values())
    rights = {name: (logits[name].argmax(1) == labels).numpy().astype(float) for name in NETWORKS}
    return cosine.numpy(), other.numpy(), rights, labels.numpy()


def _bootstrap(statistic: Callable[[np.ndarray], float], count: int, samples: int = 2000) -> dict[str, float]:
    """A statistic of rows, and its 95 % interval over rows drawn anew."""
    random = np.random.default_rng(0)
    with np.errstate(invalid="ignore"):  # rows that are all alike have no correlation: nan, and left out below
        drawn = [statistic(random.integers(0, count, count)) for _ in range(samples)]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return {"value": statistic(np.arange(count)), "low": float(low), "high": float(high)}


def _point_biserial(cosine: np.ndarray, right: np.ndarray) -> dict[str, float]:
    return _bootstrap(lambda rows: float(np.corrcoef(cosine[rows], right[rows])[0, 1]), len(cosine))


def _class_correlation(cosine: np.ndarray, right: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Spearman's rank correlation of classes: mean agreement against accuracy."""
    classes = np.unique(labels)
    alike = np.array([cosine[labels == c].mean() for c in classes])
    rate = np.array([right[labels == c].mean() for c in classes])
    return _bootstrap(lambda rows: rank_correlation(alike[rows], rate[rows]), len(classes))


def _interval(one: dict[str, float]) -> str:
    text = f"{one['value']:+.2f} (95 % interval {one['low']:+.2f} to {one['high']:+.2f})"
    return text.replace("-", "\N{MINUS SIGN}")


# --- what both see in this photo and not in any other


def own(options: argparse.Namespace) -> None:
    """How alike both networks' maps are beyond what each network's maps have in common, for one pair or more."""
    names = options.called or [str(path) for path in options.source]
    found = {name: _own(Pair.load(path), options.data) for name, path in zip(names, options.source, strict=True)}
    head = ["pair", "cosine, same photo", "other photo", "of the photo’s own part, same (95 %)", "other"]
    lines = [f"| {' | '.join(head)} |", "|---|" + "--:|" * (len(head) - 1)]
    for name, one in found.items():
        own = one["own"]
        shown = f"{own['value']:.2f} ({own['low']:.2f} to {own['high']:.2f})"
        cells = [f"{one['cosine']:.2f}", f"{one['other']:.2f}", shown, f"{one['own_other']:.2f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |".replace("| -", "| \N{MINUS SIGN}"))
    _write(options.out, "own", {"pairs": found}, "\n".join(lines) + "\n")


def _own(pair: Pair, data: Path) -> dict[str, Any]:
    """Mean centred cosines of the loss's maps, and of the same maps less each network's mean over the photos."""
    maps = looked(pair, _validation(pair, data), NETWORKS)[1].values()
    whole, less = cosines(*maps), cosines(*(each - each.mean(0) for each in maps))
    same = less[0].numpy()
    interval = _bootstrap(lambda rows: float(same[rows].mean()), len(same))
    means = {"cosine": float(whole[0].mean()), "other": float(whole[1].mean())}
    return {"photos": len(same), **means, "own": interval, "own_other": float(less[1].mean())}


# --- what the term does to agreement


WITH_AND_WITHOUT = (
    ("joint-kd-iam-0.3", "joint-kd"),
    ("joint-kd-iam", "joint-kd"),
    ("joint-kd-iam-3", "joint-kd"),
    ("full", "joint-kd-mld"),
    ("full", "joint-kd"),
    ("full-own", "joint-kd"),
    ("full-r-1", "joint-kd-r-1"),
    ("full-own-r-1", "joint-kd-r-1"),
)
"""Rows of the ablation that differ in nothing but the IAM term; the last four in MLD, too, which leaves maps alone."""


def terms(options: argparse.Namespace) -> None:
    """Whether the IAM term raises agreement, and whether photos that gain agreement are answered better for it."""
    found = [one for results in options.source for one in _with_and_without(read_runs(results))]
    head = ["with the term", "without", "seed", "labels", "cosine without", "gain in cosine (95 %)"]
    head += ["gain, unrelated photos", "gain in agreement against gain in right answers (95 %)"]
    lines = [f"| {' | '.join(head)} |", "|---|---|" + "--:|" * (len(head) - 2)]
    for one in found:
        numbers = [f"{one['cosine']:.2f}", _interval(one["raised"]), f"{one['mismatched']:+.2f}"]
        numbers.append(_interval(one["goes_with_right"]))
        cells = [one["with"], one["without"], str(one["seed"]), f"{100 * one['share']:g} %"]
        lines.append(f"| {' | '.join(cells + [n.replace('-', chr(0x2212)) for n in numbers])} |")
    _write(options.out, "terms", {"pairs": found}, "\n".join(lines) + "\n")


def _with_and_without(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every run of one budget that the same run without the term stands beside."""
    by_row = {(run["row"], run["share"], run["seed"]): run for run in runs}
    return [
        {"with": row, "without": other, "seed": seed, "share": share, **_raised(by_row[row, share, seed], twin)}
        for row, other in WITH_AND_WITHOUT
        for found, share, seed in sorted(by_row)
        if found == row and (twin := by_row.get((other, share, seed)))
    ]


def _raised(run: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """One run beside the same run without the term, photo by photo."""
    cosines = [np.array(each["iam"]["per_photo"]) / 100 for each in (run, other)]
    gained = cosines[0] - cosines[1]
    better = (was_right(run).astype(float) - was_right(other))[: len(gained)]  # more photos may judge the answers
    return {
        "cosine": float(cosines[1].mean()),
        "raised": _bootstrap(lambda rows: float(gained[rows].mean()), len(gained)),
        "mismatched": float(run["iam"]["mismatched"] - other["iam"]["mismatched"]),
        "goes_with_right": _bootstrap(lambda rows: float(np.corrcoef(gained[rows], better[rows])[0, 1]), len(gained)),
    }


# --- deletion and insertion


def faithfulness(options: argparse.Namespace) -> None:
    """Mean areas under deletion and insertion curves of the maps of each network's own answer.

    Beside them chance, and the usual class activation map of the plain weight, in which what all classes share is left.
    """
    pair = Pair.load(options.source)
    held = _validation(pair, options.data)
    rows = _some(held, options.photos)
    found: dict[str, Any] = {"photos": len(rows), "unit": "probability", "control": options.control, "networks": {}}
    head = ["network", "curve", "by the map", "by chance", "map's lead (95 %)", "by the plain map", "lead on it (95 %)"]
    lines = [f"| {' | '.join(head)} |", "|---|---|" + "--:|" * (len(head) - 2)]
    shares = []
    for name in NETWORKS:
        results, plain, spread = [], [], []
        for small in held.read(rows):
            explanation = Explanation.of(pair, name, small)
            iam = explanation.iam(explanation.top(1)[0][0])
            shared = _shared(pair, name, small)
            results.append(put_to_the_test(pair, small, iam, control=options.control))
            plain.append(put_to_the_test(pair, small, replace(iam, values=iam.values + shared), orders=0))
            spread.append((shared.std(), iam.values.std()))
        found["networks"][name] = {kind: _areas(results, plain, kind) for kind in ("deletion", "insertion")}
        lines += [_areas_row(name, kind, one) for kind, one in found["networks"][name].items()]
        ratio = float(np.divide(*np.mean(spread, 0)))
        found["networks"][name]["shared"] = ratio
        shares.append(f"{ratio:.1f} times as much in the {name}")
    lines += ["", f"From place to place, what all classes share varies {' and '.join(shares)} as the map of one class."]
    _write(options.out, f"faithfulness-{options.control}", found, "\n".join(lines) + "\n")


@torch.no_grad()
def _shared(pair: Pair, name: str, small: np.ndarray) -> np.ndarray:
    """What the plain weight adds to the map of every class alike, (H, W)."""
    network = pair.networks[name]
    features = network(pair.tensor(name, small)).stages[-1][0]
    return torch.einsum("c,chw->hw", network.head_weight.mean(0), features).numpy()


def _areas(results: Sequence[Faithfulness], plain: Sequence[Faithfulness], kind: str) -> dict[str, Any]:
    """Mean areas of one kind of curve, and the map's leads photo by photo: more is better in both kinds."""
    sign = -1.0 if kind == "deletion" else 1.0
    own, usual = (np.array([one.curve(kind).area() for one in each]) for each in (results, plain))
    chance = np.array([one.random_area(kind)[0] for one in results])
    means = {"map": float(own.mean()), "chance": float(chance.mean()), "plain": float(usual.mean())}
    leads = {"lead": sign * (own - chance), "lead_on_plain": sign * (own - usual)}
    return means | {key: _bootstrap(lambda rows, of=of: float(of[rows].mean()), len(of)) for key, of in leads.items()}  # type: ignore[misc]


def _areas_row(name: str, kind: str, one: dict[str, Any]) -> str:
    def lead(of: dict[str, float]) -> str:
        return f"{100 * of['value']:+.1f} ({100 * of['low']:+.1f} to {100 * of['high']:+.1f})"

    means = {key: f"{100 * one[key]:.1f} %" for key in ("map", "chance", "plain")}
    cells = [name, kind, means["map"], means["chance"], lead(one["lead"]), means["plain"], lead(one["lead_on_plain"])]
    return f"| {' | '.join(cells)} |".replace("-", "\N{MINUS SIGN}")


def main() -> None:
    """Measure one of the five."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for command, default in ((epochs, 303), (photos, 0), (faithfulness, 101), (own, 0), (terms, 0)):
        one = commands.add_parser(command.__name__)
        one.set_defaults(command=command)
        several = {"nargs": "+"} if command in (own, terms) else {}
        one.add_argument("source", type=Path, help="a run folder, a checkpoint, or the ablation's results", **several)
        one.add_argument("--data", type=Path, required=command is not terms)
        one.add_argument("--out", type=Path, default=Path("docs/attention"))
        one.add_argument("--photos", type=int, default=default, help="how many held-out photos, where it is a sample")
        one.add_argument("--start", type=Path, help="the checkpoint that the run began with")
        one.add_argument("--after", type=Path, help="epochs.json of the leg before the run")
        one.add_argument("--offset", type=float, default=0.0, help="epochs trained before the run")
        one.add_argument("--control", choices=("cells", "moved"), default="cells")
        one.add_argument("--called", nargs="+", help="names of the pairs in the table, by default where they lie")
    options = parser.parse_args()
    options.command(options)


if __name__ == "__main__":
    run_command(main)
