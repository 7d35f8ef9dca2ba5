"""The command line: python -m foodkd train | evaluate | explain | export | bench.

Exit status 0; 1 when it failed, with one line that says why; 2 for bad arguments.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from foodkd.errors import FoodkdError, run_command
from foodkd.train import bundled_recipes

if TYPE_CHECKING:
    from foodkd.data import Photos
    from foodkd.explain.answers import Answers
    from foodkd.nets import Pair
    from foodkd.train.recipe import DataSettings

app = typer.Typer(
    help="Joint distillation for food photos: train a teacher and a student together, judge them, see where they look.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Checkpoint = Annotated[str, typer.Argument(help="A checkpoint folder, or a repository id of the Hugging Face Hub.")]
Root = Annotated[Path | None, typer.Option("--data", help="The dataset's folder.")]
Dataset = Annotated[
    Literal["food101", "uecfood256", "folder", "generated"] | None,
    typer.Option(help="What lies there; default: what the checkpoint was trained on."),
]
RECIPES = ", ".join(bundled_recipes())


@app.command(help=f"Train a pair. Stop it anywhere; the same command goes on. Bundled recipes: {RECIPES}.")
def train(
    recipe: Annotated[str, typer.Argument(help="A bundled recipe (see above) or a .toml file.")],
    data: Root = None,
    out: Annotated[Path | None, typer.Option(help="The run folder; default runs/NAME.")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE, such as distill.iam=0.")] = None,
    resume: Annotated[bool, typer.Option(help="Insist that there is a run to go on with.")] = False,
    download: Annotated[bool, typer.Option(help="Fetch the dataset first where it is missing.")] = False,
) -> None:
    """Train a pair. Stop it anywhere; the same command goes on."""
    from foodkd.train.recipe import load_recipe

    settings = load_recipe(recipe, overrides or ())
    if settings.data.dataset != "generated" and data is None:
        raise FoodkdError(
            f"The recipe {recipe} trains on {settings.data.dataset}: say where its photos are with --data ROOT."
        )
    if download:
        _fetch(settings.data, data)
    from foodkd.train.loop import train as run

    try:
        best = run(settings, data=data, out=out or Path("runs") / settings.name, resume=resume)
    except KeyboardInterrupt:  # here: typer would end without a word
        typer.echo("foodkd: stopped; the same command goes on from the last save.", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"The best checkpoint is in {best}. Look at it with: python app.py --checkpoint {best}")


@app.command()
def evaluate(
    checkpoint: Checkpoint,
    data: Root = None,
    dataset: Dataset = None,
    split: Annotated[
        Literal["test", "validation", "train", "all"],
        typer.Option(help="A folder without a test part is judged whole by a pair that learned from something else."),
    ] = "test",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
    answers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz",
            help="Write what was answered to each photo; beside pair.json as answers.npz, the app shows it.",
        ),
    ] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="Write the same as a table.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Photos per pass.")] = 64,
) -> None:
    """Judge every network of a checkpoint on a photo set: top-1, top-5, calibration error, agreement."""
    from foodkd.nets import Pair
    from foodkd.train.metrics import judge, labels_for, predict_pair

    _insist_on_new(json_file, answers, csv)
    pair = Pair.load(checkpoint)
    about = {"dataset": _dataset(pair, data, dataset), "split": _split(pair, data, dataset, split)}
    photos = _photos(pair, data, **about)
    labels = labels_for(pair, photos)  # refused before the networks start
    with _Progress(len(photos)) as told:
        logits = predict_pair(pair, photos, batch_size=batch_size, progress=told)
    result = judge(pair, logits, labels)
    for line in _table(result):
        typer.echo(line)
    if answers is not None or csv is not None:
        from foodkd.explain.answers import Answers

        arrays = {name: values.numpy() for name, values in logits.items()}
        _write_answers(Answers.of(pair, arrays, photos.ids, labels.numpy(), **about), answers, csv)
    _write_json(json_file, result)


@app.command()
def explain(
    checkpoint: Checkpoint,
    photo: Annotated[Path, typer.Argument(help="Any photo.")],
    out: Annotated[Path, typer.Option(help="A folder to make.")],
    class_name: Annotated[str | None, typer.Option("--class", help="The class; default: the teacher's answer.")] = None,
) -> None:
    """Write both networks’ maps of one photo: pictures, arrays (.npy), manifest.json and report.html."""
    from foodkd.explain import write_explanation
    from foodkd.nets import Pair

    typer.echo(f"Wrote {write_explanation(Pair.load(checkpoint), photo, class_name, out)}.")


@app.command()
def export(
    checkpoint: Checkpoint,
    out: Annotated[Path, typer.Option(help="A folder to make.")],
    int8: Annotated[bool, typer.Option("--int8", help="Also write an 8-bit student.")] = False,
    calibration: Annotated[
        Path | None, typer.Option(help="Photos (any dataset's root) to calibrate 8 bits on.")
    ] = None,
    dataset: Dataset = None,
) -> None:
    """Write the student alone as ONNX, preprocessing included."""
    from foodkd.export import export_pair
    from foodkd.nets import Pair

    pair = Pair.load(checkpoint)
    lies = _dataset(pair, calibration, dataset)
    photos = _photos(pair, calibration, lies, "train") if calibration is not None else None
    manifest = export_pair(pair, out, int8=int8, calibration=photos)
    typer.echo(f"Wrote {out}: {', '.join(manifest['files'])}.")


@app.command()
def bench(
    name: Annotated[str | None, typer.Argument(help="One benchmark; default: all.")] = None,
    checkpoint: Annotated[str, typer.Option(help="The pair to measure.")] = "checkpoints/food101-64",
) -> None:
    """Measure speed, each figure as a ratio to bare passes of the networks in the same process."""
    from foodkd.bench import run_benchmark  # type: ignore[import-not-found, unused-ignore]

    run_benchmark(name, checkpoint=Path(checkpoint))


def _photos(pair: Pair, root: Path | None, dataset: str, split: str) -> Photos:
    """A split as the pair saw its own: same resolution, and of its own dataset the same held-out photos and options."""
    from foodkd.data import open_photos

    own = _trained_on(pair)
    if dataset != "generated" and root is None:
        raise FoodkdError(f"Say where the photos of {dataset} are with --data ROOT.")
    options = own.get("options", {}) if dataset == own.get("dataset") else {}
    holdout = own.get("holdout", 0.02) if split in ("train", "validation") else 0.02
    return open_photos(dataset, root, split, resolution=pair.preprocessing.resolution, holdout=holdout, **options)


def _trained_on(pair: Pair) -> dict[str, Any]:
    """The data section of the recipe that made the pair; empty where it came from elsewhere."""
    return dict(pair.info.get("recipe", {}).get("data", {}))


def _dataset(pair: Pair, root: Path | None, asked: str | None) -> str:
    """What lies at the root, where nobody says: what the pair was trained on, else a folder."""
    own = _trained_on(pair).get("dataset")
    if asked is None and own == "generated" and root is not None:
        return "folder"  # generated pictures lie nowhere
    if asked is None and own in ("food101", "uecfood256") and root is not None and _sorted_by_dish(root, own):
        raise FoodkdError(f"{root} is not {own}, which the pair was trained on; say what lies there: --dataset folder.")
    return str(asked or own or "folder")


def _sorted_by_dish(root: Path, own: str) -> bool:
    """Whether a root has none of the dataset's own folders or archives, but folders."""
    marks = {"food101": ("food-101*",), "uecfood256": ("UECFOOD256*", "category.txt", "dataset256*")}[own]
    if not root.is_dir() or any(True for mark in marks for _ in root.glob(mark)):
        return False
    return any(path.is_dir() and not path.name.startswith(".") for path in root.iterdir())


def _split(pair: Pair, root: Path | None, asked: str | None, split: str) -> str:
    """The split to open: a folder without a test part is judged whole, unless the pair learned from a folder."""
    foreign = _dataset(pair, root, asked) == "folder" and _trained_on(pair).get("dataset") != "folder"
    if split == "test" and foreign and not (root is not None and (root / "test").is_dir()):
        return "all"
    return split


def _fetch(data: DataSettings, root: Path | None) -> None:
    """Opened as the training will, so that what is packed on the way serves it."""
    from foodkd.data import open_photos

    common = {"resolution": data.resolution, "holdout": data.holdout}
    open_photos(data.dataset, root, "train", **common, **{**data.options, "download": True})  # type: ignore[arg-type]


def _insist_on_new(*files: Path | None) -> None:
    """Told before the networks start: what somebody keeps is not written over, and what can't be written is named."""
    for path in files:
        if path is not None and path.exists():
            raise FoodkdError(f"{path} exists and stays as it is; name another file, or remove it first.")
        standing = next((above for above in path.parents if above.exists()), None) if path is not None else None
        if standing is not None and not standing.is_dir():
            raise FoodkdError(f"{path} can't be written: {standing} is a file, not a folder; name another place.")


def _write_json(path: Path | None, result: dict[str, Any]) -> None:
    from foodkd.files import whole_file

    if path is not None:
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + "\n")


def _write_answers(made: Answers, answers: Path | None, csv: Path | None) -> None:
    from foodkd.files import whole_file

    if answers is not None:
        typer.echo(f"Wrote {made.save(answers)}.")
    if csv is not None:
        with whole_file(csv) as temporary:  # the mark at the beginning tells spreadsheets that it is UTF-8
            temporary.write_text(made.to_csv(), encoding="utf-8-sig", errors="replace", newline="")
        typer.echo(f"Wrote {csv}.")


class _Progress:
    """A bar over all photos of the network being judged."""

    def __init__(self, photos: int) -> None:
        from tqdm import tqdm

        self.bar = tqdm(total=photos, unit="photo", disable=not sys.stderr.isatty(), leave=False)

    def __enter__(self) -> _Progress:
        return self

    def __call__(self, network: str, done: int) -> None:
        self.bar.set_description(network)
        self.bar.update(done - self.bar.n)

    def __exit__(self, *_: object) -> None:
        self.bar.close()


def _table(result: dict[str, Any]) -> list[str]:
    lines = [f"{result['photos']:,} photos", f"{'':14}{'top-1':>8}{'top-5':>8}{'ECE':>8}{'parameters':>13}{'size':>10}"]
    for name in ("teacher", "student", "student-alone"):
        if name in result:
            r = result[name]
            rates = f"{100 * r['top1']:7.2f}%{100 * r['top5']:7.2f}%{r['ece']:8.3f}"
            lines.append(f"{name:14}{rates}{r['parameters']:13,}{r['bytes'] / 1e6:7.1f} MB")
    return [*lines, f"teacher and student agree on {100 * result['agreement']:.2f} %"]


def main() -> None:
    """Run the command line."""
    run_command(app)


if __name__ == "__main__":
    main()
