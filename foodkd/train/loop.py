"""The training loop, in plain sight.

    python -m foodkd train food101-64 --data DATA

Every random choice is keyed by (seed, step): order, crops, dropout. So a run that is killed and started again with the same
command repeats nothing, skips nothing and ends with the same weights as an unbroken one (bit for bit on a CPU).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from foodkd.data import Augmenter, Batch, Photos, batch_order, open_photos
from foodkd.distill import JointDistiller
from foodkd.errors import FoodkdError
from foodkd.files import sha256
from foodkd.nets import NetworkSettings, Pair, TappedClassifier
from foodkd.nets.strides import recalibrate
from foodkd.train.learner import Learner, averaged, rate_factor
from foodkd.train.metrics import fit_temperature, measure, predict
from foodkd.train.recipe import Recipe
from foodkd.train.report import Report
from foodkd.train.run import RunFolder

PLAYED = 8
"""Validation photos whose maps are kept at every evaluation."""


def train(recipe: Recipe, *, data: Path | None, out: Path, resume: bool = False, quiet: bool = False) -> Path:
    """Train a pair as the recipe says; goes on where an earlier call with the same recipe and folder was stopped.

    Args:
        recipe: the run.
        data: the dataset's root; None for generated photos.
        out: the run folder.
        resume: insist that there is a run to go on with.
        quiet: no progress bar.

    Returns:
        The folder of the best checkpoint.

    Raises:
        FoodkdError: data missing, run finished or another recipe's, or networks that don't fit the settings.
    """
    splits = [_open(recipe, data, split) for split in ("train", "validation")]
    run = RunFolder(out, recipe, resume=resume)
    trainer = Trainer(recipe, splits[0], splits[1], run, quiet=quiet)
    trainer.run_all()
    return out / "best"


def _open(recipe: Recipe, data: Path | None, split: str) -> Photos:
    settings = recipe.data
    limit = settings.limit if split == "train" else None
    common = {"resolution": settings.resolution, "holdout": settings.holdout, "seed": 0}  # the split never varies with the seed
    return open_photos(settings.dataset, data, split, limit=limit, **common, **settings.options)


class Trainer:
    """The state of one run and its steps. Use `train`."""

    def __init__(self, recipe: Recipe, photos: Photos, validation: Photos, run: RunFolder, *, quiet: bool) -> None:
        self.recipe, self.photos, self.validation, self.run = recipe, photos, validation, run
        self.accelerator = Accelerator()
        self.preprocessing = recipe.data.preprocessing()
        self.augment = Augmenter(recipe.augment, self.preprocessing, classes=len(photos.classes))
        torch.manual_seed(recipe.seed)
        networks = {name: _network(recipe, name, photos.classes) for name in ("teacher", "student")}
        sizes = (recipe.teacher.size, recipe.student.size)
        precision = (recipe.teacher_learning.precision, recipe.student_learning.precision)
        self.distiller = JointDistiller(
            networks["teacher"], networks["student"], recipe.distill, sizes=sizes, precision=precision
        ).to(self.accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.trained = [n for n in ("teacher", "student") if recipe.distill.mode in ("joint", *_ALONE[n])]
        learning = {"teacher": recipe.teacher_learning, "student": recipe.student_learning}
        self.learners = {name: Learner(name, self.distiller, learning[name]) for name in self.trained}
        self._adopt_auxiliary()
        self.average = copy.deepcopy(self.distiller).eval() if recipe.train.ema > 0 else None
        self.stepping: Any = self._prepared()
        self.step, self.history, self.best = 0, [], -1.0  # type: ignore[var-annotated]
        state = self._restore()
        run.begin()
        self.report = Report(run.path, self.steps, self.step, quiet=quiet or not self.accelerator.is_main_process)
        self.report.restore(state.get("report", {}))

    def _adopt_auxiliary(self) -> None:
        """A frozen teacher's auxiliary classifiers learn with the student's optimiser."""
        if self.recipe.distill.mode == "one-way" and "teacher" in self.distiller.auxiliary:
            student = self.learners["student"]
            parameters = list(self.distiller.auxiliary["teacher"].parameters())
            student.parameters += parameters
            group = {"params": parameters, "factor": 1.0, "weight_decay": student.settings.weight_decay}
            student.optimizer.add_param_group(group)

    def _prepared(self) -> Any:
        if self.accelerator.num_processes == 1:
            return self.distiller
        for learner in self.learners.values():
            learner.optimizer = self.accelerator.prepare(learner.optimizer)
        return self.accelerator.prepare(self.distiller)

    # 1. The plan: how many steps, and which photos each one sees.

    @property
    def per_epoch(self) -> int:
        """Steps in one pass over the training photos."""
        world = self.accelerator.num_processes
        return max(1, len(self.photos) // (self.recipe.train.batch_size * world))

    @property
    def steps(self) -> int:
        """Steps in the whole run."""
        return max(1, round(self.recipe.train.epochs * self.per_epoch))

    def _evaluation_due(self, step: int) -> bool:
        every = max(1, round(self.recipe.train.evaluate_every * self.per_epoch))
        return step % every == 0 or step == self.steps

    def _reads(self) -> Iterator[tuple[int, np.ndarray, Tensor]]:
        """(step, photos uint8 (B, R, R, 3), labels (B,)) from the present step on; the next are read meanwhile."""
        with ThreadPoolExecutor(self.recipe.train.workers) as pool:
            ahead = [pool.submit(self._read, s) for s in range(self.step, min(self.step + 2, self.steps))]
            for step in range(self.step, self.steps):
                photos, labels = ahead.pop(0).result()
                if step + 2 < self.steps:
                    ahead.append(pool.submit(self._read, step + 2))
                yield step, photos, labels

    def _read(self, step: int) -> tuple[np.ndarray, Tensor]:
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        size = self.recipe.train.batch_size
        order = batch_order(len(self.photos), size * world, seed=self.recipe.seed, epoch=step // self.per_epoch)
        indices = order[step % self.per_epoch][rank * size :][:size]
        return self.photos.read(indices), torch.from_numpy(self.photos.labels[indices])

    # 2. A step.

    def run_all(self) -> None:
        """Every step that is left, with evaluations and saves on the way."""
        if self.step == 0 and self.recipe.train.recalibrate:
            self._recalibrate(self.distiller, self.recipe.train.recalibrate)
        saved = time.monotonic()
        self.distiller.train()
        for step, photos, labels in self._reads():
            values = self._one_step(step, photos, labels)
            self.step = step + 1
            self.report.step(self.step, values)
            if self._evaluation_due(self.step):
                self._evaluate()
            if self._evaluation_due(self.step) or time.monotonic() - saved > 60 * self.recipe.train.save_every:
                self._save()
                saved = time.monotonic()
        self._finish()

    def _one_step(self, step: int, photos: np.ndarray, labels: Tensor) -> dict[str, float]:
        torch.manual_seed(hash((self.recipe.seed, step, self.accelerator.process_index)) % 2**31)  # dropout
        progress = step / self.steps
        batch = self._batch(step, photos, labels, progress)
        terms = self.stepping(batch.images, batch.targets, progress)
        if not torch.isfinite(terms["loss"]):
            raise FoodkdError(f"The loss is not a number at step {step}; lower the learning rates of the recipe.")
        self.accelerator.backward(terms["loss"])
        values = {name: float(value.detach()) for name, value in terms.items()}
        for name, learner in self.learners.items():
            own = self._own_progress(name, progress)
            if own >= 0:
                learner.set_rate(rate_factor(self.recipe.train, own))
                values[f"gradient/{name}"] = learner.step()
        self._update_average()
        return values

    def _own_progress(self, name: str, progress: float) -> float:
        return self.recipe.distill.student_progress(progress) if name == "student" else progress

    def _batch(self, step: int, photos: np.ndarray, labels: Tensor, progress: float) -> Batch:
        train = self.recipe.train
        scale = train.coarse_scale if progress < train.coarse else 1.0
        sizes = tuple(round(n.size * scale) for n in (self.recipe.teacher, self.recipe.student))
        key = step * self.accelerator.num_processes + self.accelerator.process_index
        device = str(self.accelerator.device)
        return self.augment(photos, labels, sizes=sizes, seed=self.recipe.seed, step=key, device=device)

    def _update_average(self) -> None:
        if self.average is not None:
            with torch.no_grad():
                pairs = (self.average.state_dict().values(), self.distiller.state_dict().values())
                averaged(self.recipe.train.ema, *pairs, self.step)

    def _recalibrate(self, distiller: JointDistiller, count: int) -> None:
        for name in self.trained:
            index = 0 if name == "teacher" else 1
            reads = (self._read(step) for step in range(count))
            batches = (self._batch(s, p, y, 1.0).images[index] for s, (p, y) in enumerate(reads))
            precision = self.distiller.precision[index]
            device = self.accelerator.device.type
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
                recalibrate(distiller.networks[name], batches)

    # 3. Looking at it, and keeping it.

    def _evaluate(self) -> None:
        if self.accelerator.is_main_process:
            judged = copy.deepcopy(self.average or self.distiller).eval()
            if self.recipe.train.norm_batches:
                self._recalibrate(judged, self.recipe.train.norm_batches)
            line: dict[str, Any] = {"step": self.step, "epoch": self.step / self.per_epoch, **self.report.means()}
            temperatures = {name: self._judge(judged, name, line) for name in self.trained}
            self.history.append(line)
            self.run.write_history(self.history)
            self._keep(judged, temperatures, line)
            self.report.evaluated(self.step, self.history)

    def _judge(self, judged: JointDistiller, name: str, line: dict[str, Any]) -> float:
        network, settings = judged.networks[name], getattr(self.recipe, name)
        precision = getattr(self.recipe, f"{name}_learning").precision
        device = self.accelerator.device
        logits = predict(
            network, self.validation, self.preprocessing, settings.size, device=device, precision=precision
        )
        labels = torch.from_numpy(self.validation.labels)
        temperature = fit_temperature(logits, labels)
        line[name] = measure(logits, labels) | {"temperature": temperature}
        return temperature

    def _keep(self, judged: JointDistiller, temperatures: dict[str, float], line: dict[str, Any]) -> None:
        pair = self._pair(judged, temperatures, line)
        pair.save(self.run.path / "last", replace=True)
        main = "student" if "student" in self.trained else "teacher"
        if line[main]["top1"] > self.best:
            self.best = line[main]["top1"]
            pair.save(self.run.path / "best", replace=True)
        if self.recipe.train.keep_weights:
            pair.save(self.run.path / "weights" / f"{len(self.history):04d}", replace=True)
        self._play(pair)

    def _pair(self, judged: JointDistiller, temperatures: dict[str, float], line: dict[str, Any]) -> Pair:
        kept = judged.cpu()
        local = {"teacher": {"weights"}, "student": {"weights"}, "teacher_checkpoint": True}  # paths of one machine
        info = {
            "name": self.recipe.name,
            "recipe": self.recipe.model_dump(mode="json", exclude=local),
            "starting_weights": {name: _origin(self.recipe, name, kept.networks[name].fresh) for name in self.trained},
            "trained": self.trained,
            "training": {"steps": self.step, "of": self.steps, "photos": len(self.photos), "validation": line},
        }
        settings: dict[str, NetworkSettings] = {n: getattr(self.recipe, n) for n in ("teacher", "student")}
        networks: dict[str, TappedClassifier] = {name: kept.networks[name] for name in settings}  # type: ignore[misc]
        auxiliary: Any = dict(kept.auxiliary.items())
        return Pair(self.photos.classes, self.preprocessing, networks, settings, auxiliary, temperatures, info)

    def _play(self, pair: Pair) -> None:
        """Keep the maps of the label, raw as trained, of a few fixed validation photos."""
        rows = np.linspace(0, len(self.validation) - 1, min(PLAYED, len(self.validation))).astype(int)
        small, labels = self.validation.read(rows), torch.from_numpy(self.validation.labels[rows])
        arrays: dict[str, np.ndarray] = {"ids": np.array([self.validation.ids[i] for i in rows])}
        for name, network in pair.networks.items():
            with torch.inference_mode():
                tapped = network(pair.tensor(name, small))
                arrays[f"{name}_maps"] = network.activation_maps(tapped.stages[-1], labels[:, None])[:, 0].numpy()
                arrays[f"{name}_logits"] = tapped.logits.numpy()
        path = self.run.path / "playback" / f"{len(self.history):04d}.npz"
        path.parent.mkdir(exist_ok=True)
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]

    def _save(self) -> None:
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            learners = {name: learner.optimizer.state_dict() for name, learner in self.learners.items()}
            average = self.average.state_dict() if self.average is not None else None
            state = {"step": self.step, "history": self.history, "best": self.best, "learners": learners}
            means = self.report.state()
            self.run.save_state({**state, "model": self.distiller.state_dict(), "average": average, "report": means})

    def _restore(self) -> dict[str, Any]:
        state = self.run.load_state()
        if state is None:
            return {}
        self.distiller.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        for name, learner in self.learners.items():
            learner.optimizer.load_state_dict(state["learners"][name])
        self.step, self.history, self.best = state["step"], state["history"], state["best"]
        return state

    def _finish(self) -> None:
        if self.accelerator.is_main_process:
            self.report.close()
            self.run.finish()


_ALONE = {"teacher": ("teacher-alone",), "student": ("student-alone", "one-way")}


def _network(recipe: Recipe, name: str, classes: tuple[str, ...]) -> TappedClassifier:
    """Build one network, from its starting weights or from an earlier checkpoint's teacher."""
    settings: NetworkSettings = getattr(recipe, name)
    if name == "student" or recipe.teacher_checkpoint is None:
        return settings.build(len(classes))
    pair = Pair.load(recipe.teacher_checkpoint)
    if pair.classes != tuple(classes):
        raise FoodkdError(f"{recipe.teacher_checkpoint} knows other classes than this dataset; train a teacher on it first.")
    if pair.settings["teacher"].backbone != settings.backbone:
        own = pair.settings["teacher"].backbone
        raise FoodkdError(f"{recipe.teacher_checkpoint} has the teacher {own}, the recipe wants {settings.backbone}.")
    return pair.networks["teacher"].requires_grad_(recipe.distill.mode != "one-way")


def _origin(recipe: Recipe, name: str, fresh: tuple[str, ...]) -> dict[str, Any]:
    """Where a network's starting weights came from: a file's name and hash, never its place on this machine."""
    settings: NetworkSettings = getattr(recipe, name)
    if name == "teacher" and recipe.teacher_checkpoint is not None:
        return {"checkpoint": sha256(recipe.teacher_checkpoint / "teacher.safetensors")}
    if settings.weights is not None:
        return {"file": settings.weights.name, "sha256": sha256(settings.weights), "fresh": list(fresh)}
    return {"published": settings.pretrained, "fresh": list(fresh) if settings.pretrained else "all"}
