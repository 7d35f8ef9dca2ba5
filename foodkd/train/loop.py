"""The training loop, in plain sight.

    python -m foodkd train food101-64 --data DATA

Every random choice is keyed by (seed, step): order, crops, dropout. So a run that is killed and started again with the
same command repeats nothing, skips nothing and ends with the same weights as an unbroken one (bit for bit on a CPU).
"""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch import Tensor

from foodkd.data import Augmenter, Batch, Photos, batch_order, open_photos
from foodkd.data.sampling import stream
from foodkd.distill import JointDistiller
from foodkd.errors import FoodkdError
from foodkd.files import sha256, whole_file
from foodkd.nets import NetworkSettings, Pair, TappedClassifier, centred
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
    run = RunFolder(out, recipe, resume=resume)
    splits = [_open(recipe, data, split) for split in ("train", "validation")]
    try:
        Trainer(recipe, splits[0], splits[1], run, quiet=quiet).run_all()
    finally:
        run.release()
    return out / "best"


def _open(recipe: Recipe, data: Path | None, split: str) -> Photos:
    settings = recipe.data
    limit = settings.limit if split == "train" else None
    common: dict[str, Any] = {"resolution": settings.resolution, "holdout": settings.holdout}
    common["seed"] = 0  # the split never varies with the recipe's seed
    try:
        return open_photos(settings.dataset, data, split, limit=limit, **common, **settings.options)
    except TypeError as error:  # an option of another type, or one that another setting decides
        raise FoodkdError(f"data.options = {settings.options} does not suit {settings.dataset}: {error}.") from error


class Trainer:
    """The state of one run and its steps. Use `train`."""

    def __init__(self, recipe: Recipe, photos: Photos, validation: Photos, run: RunFolder, *, quiet: bool) -> None:
        self.recipe, self.photos, self.validation, self.run = recipe, photos, validation, run
        # In a head start, and where one network is left out or moved by nothing, parts of the model get no gradient.
        idle = recipe.distill.mode != "joint" or recipe.distill.head_start > 0 or recipe.distill.reverse == 0
        self.accelerator = Accelerator(kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=idle)])
        self.preprocessing = recipe.data.preprocessing()
        self.augment = Augmenter(recipe.augment, self.preprocessing, classes=len(photos.classes))
        self.distiller = self._build()
        self.trained = [n for n in ("teacher", "student") if recipe.distill.mode in ("joint", *_ALONE[n])]
        self.judged = ["teacher", "student"] if recipe.distill.mode == "one-way" else self.trained
        learning = {"teacher": recipe.teacher_learning, "student": recipe.student_learning}
        self.learners = {name: Learner(name, self.distiller, learning[name]) for name in self.trained}
        self.average = copy.deepcopy(self.distiller).eval() if recipe.train.ema > 0 else None
        self.stepping: Any = self._prepared()
        self.step, self.best = 0, -1.0
        self.history: list[dict[str, Any]] = []
        state = self._restore()
        self.accelerator.wait_for_everyone()  # nobody writes before everybody has looked
        if self.accelerator.is_main_process:
            run.begin()
        self.report = Report(run.path, self.steps, self.step, quiet=quiet, write=self.accelerator.is_main_process)
        self.report.restore(state.get("report", {}))

    def _build(self) -> JointDistiller:
        recipe = self.recipe
        teacher, student = (_network(recipe, name, self.photos.classes) for name in ("teacher", "student"))
        for progress in (0.0, 1.0):  # a size that a network refuses is refused now, not halfway through the training
            for network, size in zip((teacher, student), self._sizes(progress), strict=True):
                network.geometry(size)
        teacher.freeze(recipe.teacher_learning.frozen_stages)
        student.freeze(recipe.student_learning.frozen_stages)
        # The smallest sizes: a term with no cells to compare there would teach nothing for most steps.
        sizes = self._sizes(0.0)
        precision = (recipe.teacher_learning.precision, recipe.student_learning.precision)
        torch.manual_seed(_key(recipe.seed, "auxiliary"))
        distiller = JointDistiller(teacher, student, recipe.distill, sizes=sizes, precision=precision)
        return distiller.to(self.accelerator.device).to(memory_format=torch.channels_last)

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
        every = max(1.0, self.recipe.train.evaluate_every * self.per_epoch)
        number = round(step / every)  # each one rounded by itself: half steps don't add up over the epochs
        return step == self.steps or (number > 0 and step == round(number * every))

    def _reads(self) -> Iterator[tuple[int, np.ndarray, Tensor]]:
        """(step, photos uint8 (B, R, R, 3), labels (B,)) from the present step on; the next are read meanwhile."""
        workers = self.recipe.train.workers
        depth = workers + 1
        with ThreadPoolExecutor(workers) as pool:
            ahead = deque(pool.submit(self._read, s) for s in range(self.step, min(self.step + depth, self.steps)))
            for step in range(self.step, self.steps):
                photos, labels = ahead.popleft().result()
                if step + depth < self.steps:
                    ahead.append(pool.submit(self._read, step + depth))
                yield step, photos, labels

    def _read(self, step: int) -> tuple[np.ndarray, Tensor]:
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        size = self.recipe.train.batch_size
        order = batch_order(len(self.photos), size * world, seed=self.recipe.seed, epoch=step // self.per_epoch)
        indices = np.array_split(order[step % self.per_epoch], world)[rank]  # a set smaller than a batch is shared too
        return self.photos.read(indices), torch.from_numpy(self.photos.labels[indices])

    # 2. A step.

    def run_all(self) -> None:
        """Every step that is left, with evaluations and saves on the way."""
        if self.step == 0:
            self._recalibrate(self.distiller, self.recipe.train.recalibrate, "augmented")
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
        torch.manual_seed(_key(self.recipe.seed, "dropout", step, self.accelerator.process_index))
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
        key = step * self.accelerator.num_processes + self.accelerator.process_index
        device = str(self.accelerator.device)
        sizes = self._sizes(progress)
        return self.augment(photos, labels, sizes=sizes, seed=self.recipe.seed, step=key, device=device)

    def _sizes(self, progress: float) -> tuple[int, int]:
        """Input sides of teacher and student; each is coarse for that share of its own training."""
        teacher, student = (self._size(name, progress) for name in ("teacher", "student"))
        return teacher, student

    def _size(self, name: str, progress: float) -> int:
        train, full = self.recipe.train, int(getattr(self.recipe, name).size)
        # A frozen teacher's norms were measured at its full size: on smaller inputs it would know less than it does.
        frozen = name == "teacher" and self.recipe.distill.mode == "one-way"
        coarse = not frozen and self._own_progress(name, progress) < train.coarse
        return round(full * train.coarse_scale) if coarse else full

    def _update_average(self) -> None:
        if self.average is not None:
            # A network that does not learn is its own average; reading it took 4 % of a lone student's step.
            still = tuple(f"networks.{name}." for name in self.distiller.networks if name not in self.trained)
            current, averages = self.distiller.state_dict(), self.average.state_dict()
            moving = [key for key in current if not key.startswith(still)]
            with torch.no_grad():
                tensors = ([averages[key] for key in moving], [current[key] for key in moving])
                averaged(self.recipe.train.ema, *tensors, self.step)

    def _recalibrate(self, distiller: JointDistiller, count: int, photos: str) -> None:
        """Measure the batch norms on the first batches of training photos, "plain" or "augmented"."""
        for index, name in enumerate(("teacher", "student")):
            if count and name in self.trained:
                low = self.distiller.precision[index] == "bfloat16"
                with torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=low):
                    recalibrate(distiller.networks[name], self._inputs(index, count, photos))

    def _inputs(self, index: int, count: int, photos: str) -> Iterator[Tensor]:
        """Batches at a network's full size: as in training, or whole, as it meets photos afterwards."""
        size = (self.recipe.teacher.size, self.recipe.student.size)[index]
        for step in range(count):
            read, labels = self._read(step)
            if photos == "augmented":
                yield self._batch(step, read, labels, 1.0).images[index]
            else:
                images = self.preprocessing.tensor(torch.from_numpy(read), size).to(self.accelerator.device)
                yield images.contiguous(memory_format=torch.channels_last)

    # 3. Looking at it, and keeping it.

    def _evaluate(self) -> None:
        if self.accelerator.is_main_process:
            judged = copy.deepcopy(self.average or self.distiller).eval()
            self._recalibrate(judged, self.recipe.train.norm_batches, self.recipe.train.norm_photos)
            line: dict[str, Any] = {"step": self.step, "epoch": self.step / self.per_epoch, **self.report.means()}
            temperatures = {name: self._judge(judged, name, line) for name in self.judged}
            self.history.append(line)
            self.run.write_history(self.history)
            self._keep(judged, temperatures, line)
            self.report.evaluated(self.step, self.history)

    def _judge(self, judged: JointDistiller, name: str, line: dict[str, Any]) -> float:
        network, settings = cast(TappedClassifier, judged.networks[name]), getattr(self.recipe, name)
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
        begun = self._own_progress(main, self.step / self.steps) > 0
        if not begun or line[main]["top1"] > self.best:  # the student as it came, in a head start, is no best to beat
            self.best = line[main]["top1"] if begun else -1.0
            pair.save(self.run.path / "best", replace=True)
        if self.recipe.train.keep_weights:
            pair.save(self.run.path / "weights" / f"{len(self.history):04d}", replace=True)
        self._play(pair)

    def _pair(self, judged: JointDistiller, temperatures: dict[str, float], line: dict[str, Any]) -> Pair:
        kept = judged.cpu()
        networks = {name: cast(TappedClassifier, kept.networks[name]) for name in ("teacher", "student")}
        # Paths of one machine:
        local: Any = {"teacher": {"weights"}, "student": {"weights"}, "teacher_checkpoint": True}
        info = {
            "name": self.recipe.name,
            "recipe": self.recipe.model_dump(mode="json", exclude=local),
            "starting_weights": {name: _origin(self.recipe, name, networks[name].fresh) for name in self.judged},
            "trained": self.trained,
            "training": {"steps": self.step, "of": self.steps, "photos": len(self.photos), "validation": line},
        }
        settings: dict[str, NetworkSettings] = {n: getattr(self.recipe, n) for n in ("teacher", "student")}
        auxiliary: Any = dict(kept.auxiliary.items())
        return Pair(self.photos.classes, self.preprocessing, networks, settings, auxiliary, temperatures, info)

    def _play(self, pair: Pair) -> None:
        """Keep the maps of the label and the logits, both centred, of a few fixed validation photos."""
        rows = np.linspace(0, len(self.validation) - 1, min(PLAYED, len(self.validation))).astype(int)
        small, labels = self.validation.read(rows), torch.from_numpy(self.validation.labels[rows])
        arrays: dict[str, np.ndarray] = {"ids": np.array([self.validation.ids[i] for i in rows])}
        for name, network in pair.networks.items():
            with torch.inference_mode():
                tapped = network(pair.tensor(name, small))
                arrays[f"{name}_logits"] = centred(tapped.logits).numpy()
                if tapped.stages[-1].shape[1] == network.last.in_features:  # not MobileNetV3: its head has no such maps
                    arrays[f"{name}_maps"] = network.activation_maps(tapped.stages[-1], labels[:, None])[:, 0].numpy()
        path = self.run.path / "playback" / f"{len(self.history):04d}.npz"
        with whole_file(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    def _save(self) -> None:
        # No waiting for other processes: each has a clock of its own, and the first one's state is everybody's.
        if self.accelerator.is_main_process:
            learners = {name: learner.optimizer.state_dict() for name, learner in self.learners.items()}
            average = self.average.state_dict() if self.average is not None else None
            state = {"step": self.step, "history": self.history, "best": self.best, "learners": learners}
            state |= {"report": self.report.state(), "photos": self._photos_digest()}
            self.run.save_state({**state, "model": self.distiller.state_dict(), "average": average})

    def _photos_digest(self) -> str:
        """Changes with the classes, the photos and their order: a label or a step may mean something else then."""
        named = (self.photos.classes, self.photos.ids, self.validation.ids)
        return hashlib.sha256(json.dumps(named).encode()).hexdigest()

    def _restore(self) -> dict[str, Any]:
        state = self.run.load_state()
        if state is None:
            return {}
        if state.get("photos", self._photos_digest()) != self._photos_digest():
            raise FoodkdError(
                f"{self.run.path / 'state.pt'} was trained on other photos or classes than these; give the --data it "
                "was trained on, as it was, or begin again in another folder with --out."
            )
        try:
            self.distiller.load_state_dict(state["model"])
            if self.average is not None:
                self.average.load_state_dict(state["average"])
            for name, learner in self.learners.items():
                learner.optimizer.load_state_dict(state["learners"][name])
            self.step, self.history, self.best = state["step"], state["history"], state["best"]
        except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise FoodkdError(
                f"{self.run.path / 'state.pt'} does not fit these photos ({reason}); give the --data it was trained "
                "on, or begin again in another folder with --out."
            ) from error
        return state

    def _finish(self) -> None:
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            self.report.close()
            self.run.finish()
        self.accelerator.end_training()


_ALONE = {"teacher": ("teacher-alone",), "student": ("student-alone", "one-way")}


def _network(recipe: Recipe, name: str, classes: tuple[str, ...]) -> TappedClassifier:
    """Build one network, from its starting weights or from an earlier checkpoint's teacher."""
    settings: NetworkSettings = getattr(recipe, name)
    torch.manual_seed(_key(recipe.seed, name))  # one student for every teacher, so that runs can be compared
    if name == "student" or recipe.teacher_checkpoint is None:
        return settings.build(len(classes))
    pair = Pair.load(recipe.teacher_checkpoint)
    _check_teacher(pair, recipe, classes)
    network = settings.model_copy(update={"pretrained": False, "weights": None}).build(len(classes))
    network.network.load_state_dict(pair.networks["teacher"].network.state_dict())
    network.fresh = ()
    return network.requires_grad_(recipe.distill.mode != "one-way")


def _check_teacher(pair: Pair, recipe: Recipe, classes: tuple[str, ...]) -> None:
    """Weights mean something only to the network, the classes and the channel statistics they were trained with."""
    where = recipe.teacher_checkpoint
    if pair.classes != tuple(classes):
        raise FoodkdError(f"{where} knows other classes than this dataset; train a teacher on it first.")
    for key in ("backbone", "stem_stride", "output_stride"):
        own, wanted = getattr(pair.settings["teacher"], key), getattr(recipe.teacher, key)
        if own != wanted:
            raise FoodkdError(f"{where} has a teacher with {key} {own}, the recipe wants {wanted}; set teacher.{key}.")
    for key in ("mean", "std"):
        own, wanted = getattr(pair.preprocessing, key), getattr(recipe.data, key)
        if own != wanted:
            raise FoodkdError(f"{where} has a teacher for {key} {own}, the recipe has {wanted}; set data.{key}.")


def _key(seed: int, purpose: str, *numbers: int) -> int:
    """A seed for torch, whose CPU generator keeps 32 bits: the same in every process and version of Python."""
    return int(stream(purpose, seed, *numbers).integers(2**32))


def _origin(recipe: Recipe, name: str, fresh: tuple[str, ...]) -> dict[str, Any]:
    """Where a network's starting weights came from: a file's name and hash, never its place on this machine."""
    settings: NetworkSettings = getattr(recipe, name)
    if name == "teacher" and recipe.teacher_checkpoint is not None:
        return {"checkpoint": sha256(recipe.teacher_checkpoint / "teacher.safetensors")}
    if settings.weights is not None:
        return {"file": settings.weights.name, "sha256": sha256(settings.weights), "fresh": list(fresh)}
    return {"published": settings.pretrained, "fresh": list(fresh) if settings.pretrained else "all"}
