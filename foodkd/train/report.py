"""What a run tells while it goes: progress bar with the named losses, TensorBoard, plots."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from foodkd.files import whole_file


class Report:
    """Progress of one run.

    Args:
        path: the run folder.
        steps: in the whole run.
        done: steps done before.
        quiet: show nothing.
        write: write the events and the plot; False in processes other than the first.
    """

    def __init__(self, path: Path, steps: int, done: int, *, quiet: bool, write: bool = True) -> None:
        from torch.utils.tensorboard import SummaryWriter
        from tqdm import tqdm

        self.path, self.quiet = path, quiet or not write
        self.sums: dict[str, float] = defaultdict(float)
        self.counts: dict[str, int] = defaultdict(int)
        self.bar = tqdm(total=steps, initial=done, desc="training", unit="step", disable=self.quiet, mininterval=1.0)
        folder = str(path / "tensorboard")
        self.writer = SummaryWriter(folder, purge_step=done + 1) if write else None

    def step(self, step: int, values: dict[str, float]) -> None:
        """Take one step's named terms."""
        for name, value in values.items():
            self.sums[name] += value
            self.counts[name] += 1
        shown = {n: f"{v:.3f}" for n, v in values.items() if "/" not in n}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update()
        if step % 20 == 0:
            self._note(step, {f"step/{name}": value for name, value in values.items()})

    def _note(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items() if self.writer is not None else ():
            self.writer.add_scalar(name, value, step)  # type: ignore[union-attr]

    def state(self) -> dict[str, Any]:
        """What must survive an interruption, so that the history's means stay those of an unbroken run.

        The events so far go to the disk first: what the state has behind it is not written again.
        """
        if self.writer is not None:
            self.writer.flush()
        return {"sums": dict(self.sums), "count": max(self.counts.values(), default=0), "counts": dict(self.counts)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the sums of the interrupted part."""
        self.sums = defaultdict(float, state.get("sums", {}))
        # States written before each term had its own count hold one for all.
        self.counts = defaultdict(int, state.get("counts", dict.fromkeys(self.sums, state.get("count", 0))))

    def means(self) -> dict[str, float]:
        """Mean of every term since the last call, over the steps that had it."""
        means = {name: value / self.counts[name] for name, value in self.sums.items()}
        self.sums.clear()
        self.counts.clear()
        return means

    def evaluated(self, step: int, history: list[dict[str, Any]]) -> None:
        """Show and draw the latest evaluation."""
        line = history[-1]
        judged = {name: line[name] for name in ("teacher", "student") if name in line}
        for name, rates in judged.items():
            self._note(step, {f"validation/{name}/{key}": value for key, value in rates.items()})
        text = ", ".join(f"{n} {100 * r['top1']:.1f} % top-1, {100 * r['top5']:.1f} % top-5" for n, r in judged.items())
        if not self.quiet:
            self.bar.write(f"epoch {line['epoch']:.2f}: {text}")
        plot_history(history, self.path / "history.png")

    def close(self) -> None:
        """End the bar and flush the events."""
        self.bar.close()
        if self.writer is not None:
            self.writer.close()


def plot_history(history: list[dict[str, Any]], path: Path) -> None:
    """Draw losses and validation accuracy over epochs into a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    losses, accuracy = figure.subplots(1, 2)
    epochs = [line["epoch"] for line in history]
    for name in [key for key in history[-1] if key in ("ce_teacher", "ce_student", "kd", "mld", "iam")]:
        losses.plot(epochs, [line.get(name) for line in history], label=name.replace("_", " "), marker=".")
    for name, colour in (("teacher", "#0f4c81"), ("student", "#d95f02")):
        if name in history[-1]:
            rates = [100 * line[name]["top1"] if name in line else None for line in history]
            accuracy.plot(epochs, rates, label=name, color=colour, marker=".")
    for axes, title in ((losses, "terms (training)"), (accuracy, "top-1, % (validation)")):
        axes.set(title=title, xlabel="epoch")
        axes.legend(frameon=False)
        axes.grid(alpha=0.25)
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
