"""Both networks and every term of the objective in one step (docs/method.md, "The objective")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, cast

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from foodkd.distill import losses
from foodkd.distill.losses import IamClasses, mutual
from foodkd.errors import FoodkdError
from foodkd.nets import AuxiliaryClassifiers, Tapped, TappedClassifier

Mode = Literal["joint", "one-way", "student-alone", "teacher-alone"]
Precision = Literal["float32", "bfloat16"]


class DistillSettings(BaseModel):
    """The objective: total = CE(teacher) + c CE(student) + a KD + b MLD + g IAM.

    Attributes:
        mode: "joint" trains both; "one-way" freezes the teacher; "student-alone" and "teacher-alone" train one network.
        student_ce: c.
        kd: a. 0 switches the term off.
        temperature: tau of every softened distribution.
        reverse: r in [0, 1], how strongly the teacher is moved by the student, in every distillation term alike. A
            frozen teacher can't be moved: in mode "one-way" r is 0 whatever stands here.
        kd_ramp: share of the training over which a grows from 0 (likewise mld_ramp, iam_ramp).
        mld: b.
        mld_form: "classifiers" compares auxiliary classifiers, "features" compares projected features.
        mld_stages: w_l by stage, early to late; 0 leaves a stage without a classifier. The last stage nearly repeats
            the logits.
        mld_ce: e, the auxiliary classifiers' own cross entropy.
        mld_width: channels inside an auxiliary classifier, or of the common feature space.
        iam: g.
        iam_classes: maps of the label only, of the teacher's "top" n, or of "all" classes.
        iam_top: n.
        iam_own: compare each map less the mean map of its batch: only what is the photo's own, not what all photos
            share. A batch of one photo has nothing of its own.
        iam_into_head: let the term's gradient also reach the last linear layer.
        iam_floor: root mean square below which a map contributes nothing.
        iam_mixed: "mix" weighs the labels' maps of mixed photos, "skip" leaves such photos out.
        teacher_smoothing: label smoothing of the teacher's cross entropy (likewise student_smoothing).
        head_start: share of the training in which the teacher learns alone, before the student joins; for mode "joint".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Mode = "joint"
    student_ce: float = Field(default=1.0, ge=0)
    kd: float = Field(default=1.0, ge=0)
    temperature: float = Field(default=2.0, gt=0)
    reverse: float = Field(default=0.1, ge=0, le=1)
    kd_ramp: float = Field(default=0.2, ge=0, le=1)
    mld: float = Field(default=0.2, ge=0)
    mld_form: Literal["classifiers", "features"] = "classifiers"
    mld_stages: tuple[Annotated[float, Field(ge=0)], ...] = (0.0, 0.25, 0.75, 0.0)
    mld_ce: float = Field(default=1.0, ge=0)
    mld_width: int = Field(default=128, ge=1)
    mld_ramp: float = Field(default=0.2, ge=0, le=1)
    iam: float = Field(default=1.0, ge=0)
    iam_classes: IamClasses = "label"
    iam_top: int = Field(default=5, ge=1)
    iam_own: bool = False
    iam_into_head: bool = False
    iam_floor: float = Field(default=1e-4, gt=0)
    iam_mixed: Literal["mix", "skip"] = "mix"
    iam_ramp: float = Field(default=0.3, ge=0, le=1)
    teacher_smoothing: float = Field(default=0.0, ge=0, lt=1)
    student_smoothing: float = Field(default=0.0, ge=0, lt=1)
    head_start: float = Field(default=0.0, ge=0, lt=1)

    @property
    def tapped(self) -> tuple[int, ...]:
        """Indices of the stages that MLD compares."""
        return tuple(index for index, weight in enumerate(self.mld_stages) if weight > 0)

    @property
    def towards_teacher(self) -> float:
        """r, as far as the teacher can be moved at all."""
        return 0.0 if self.mode == "one-way" else self.reverse

    def student_progress(self, progress: float) -> float:
        """Progress of the joint part in [0, 1]; negative while the teacher has its head start."""
        if self.mode != "joint":  # nobody learns meanwhile who could be ahead
            return progress
        return (progress - self.head_start) / (1 - self.head_start)


class JointDistiller(nn.Module):
    """One training step's loss for a pair of networks. Each network runs exactly once.

    Example:
        distiller = JointDistiller(teacher, student, DistillSettings(), sizes=(128, 128))
        terms = distiller(images, labels, progress=0.5)
        terms["loss"].backward()

    Args:
        teacher: the large network; kept in eval and run without gradients in mode "one-way".
        student: the compact network.
        settings: the objective.
        sizes: smallest input side of teacher and student.
        precision: of each network's own pass; the terms are float32 always.

    Raises:
        FoodkdError: the networks can't be compared as the settings ask.
    """

    def __init__(
        self,
        teacher: TappedClassifier,
        student: TappedClassifier,
        settings: DistillSettings,
        *,
        sizes: tuple[int, int],
        precision: tuple[Precision, Precision] = ("float32", "float32"),
    ) -> None:
        super().__init__()
        self.settings = settings
        self.sizes = sizes
        self.precision = precision
        self.networks = nn.ModuleDict({"teacher": teacher, "student": student})
        self.auxiliary = nn.ModuleDict()
        self.projections = nn.ModuleDict()
        _check(teacher, student, settings)
        if settings.iam > 0 and settings.mode in ("joint", "one-way"):
            _check_maps({"teacher": teacher, "student": student}, sizes)
        if settings.mld > 0 and settings.mode in ("joint", "one-way"):
            self._build_mld()
        self._grids: dict[tuple[int, int, int, str], tuple[Tensor, Tensor]] = {}
        self.train(self.training)

    def _build_mld(self) -> None:
        s = self.settings
        for name in self.networks:
            network = self._network(name)
            channels = [stage.channels for stage in network.geometry(224)]
            if s.mld_form == "classifiers":
                self.auxiliary[name] = AuxiliaryClassifiers(channels, s.tapped, s.mld_width, network.classes)
            else:
                layers = {str(i): nn.Conv2d(channels[i], s.mld_width, 1, bias=False) for i in s.tapped}
                self.projections[name] = nn.ModuleDict(layers)

    def _network(self, name: str) -> TappedClassifier:
        return cast(TappedClassifier, self.networks[name])

    def train(self, mode: bool = True) -> JointDistiller:
        """Set the mode of every part; a frozen teacher stays in eval, so that its statistics never move."""
        super().train(mode)
        if self.settings.mode == "one-way":
            self.networks["teacher"].eval()
        return self

    def forward(self, images: Tensor | Sequence[Tensor], targets: Tensor, progress: float = 1.0) -> dict[str, Tensor]:
        """One step's loss and its named terms.

        Args:
            images: (B, 3, S, S), or one such tensor for the teacher and one for the student (the same crop).
            targets: (B,) labels or (B, K) mixtures of them.
            progress: share of the training already done, in [0, 1]; drives ramps and head start.

        Returns:
            "loss" and each term, unweighted, float32 scalars: "ce_teacher", "ce_student", "kd", "mld", "iam", and per
            stage "mld/STAGE" (the index). Terms that are switched off are absent.
        """
        both = (images, images) if isinstance(images, Tensor) else tuple(images)
        s = self.settings
        joint = s.student_progress(progress)
        terms: dict[str, Tensor] = {}
        teacher = self._run("teacher", both[0]) if s.mode != "student-alone" else None
        student = self._run("student", both[1]) if s.mode != "teacher-alone" and joint >= 0 else None
        if teacher is not None and s.mode != "one-way":
            terms["ce_teacher"] = losses.cross_entropy(teacher.logits, targets, s.teacher_smoothing)
        if student is not None:
            terms["ce_student"] = losses.cross_entropy(student.logits, targets, s.student_smoothing)
        if teacher is not None and student is not None:
            # Also under a caller's autocast the terms stay in float32.
            with torch.autocast(both[0].device.type, enabled=False):
                terms |= self._distillation(teacher, student, targets, (both[0].shape[-1], both[1].shape[-1]))
        return {"loss": self._total(terms, max(joint, 0.0)), **terms}

    def _run(self, name: str, images: Tensor) -> Tapped:
        precision = self.precision[0 if name == "teacher" else 1]
        frozen = name == "teacher" and self.settings.mode == "one-way"
        low = precision == "bfloat16"
        with torch.autocast(images.device.type, torch.bfloat16, enabled=low), torch.set_grad_enabled(not frozen):
            return self._network(name)(images)

    def _distillation(
        self, teacher: Tapped, student: Tapped, targets: Tensor, sizes: tuple[int, int]
    ) -> dict[str, Tensor]:
        s = self.settings
        terms = {}
        if s.kd > 0:
            terms["kd"] = mutual(self._softened, teacher.clean, student.clean, s.towards_teacher)
        if s.mld > 0:
            per_stage = self._mld(teacher, student, targets, sizes)
            terms["mld"] = torch.stack([s.mld_stages[i] * term for i, term in per_stage.items()]).sum()
            terms |= {f"mld/{i}": term for i, term in per_stage.items()}
        if s.iam > 0:
            terms["iam"] = self._iam(teacher, student, targets, sizes)
        return terms

    def _softened(self, target: Tensor, learner: Tensor) -> Tensor:
        return losses.divergence(target, learner, self.settings.temperature)

    def _mld(self, teacher: Tapped, student: Tapped, targets: Tensor, sizes: tuple[int, int]) -> dict[int, Tensor]:
        s = self.settings
        if s.mld_form == "features":
            return {i: self._matched(teacher, student, i, sizes) for i in s.tapped}
        answers = [self.auxiliary[n](t.stages) for n, t in (("teacher", teacher), ("student", student))]
        return {i: self._stage_term(answers[0][i], answers[1][i], targets) for i in s.tapped}

    def _stage_term(self, teacher: Tensor, student: Tensor, targets: Tensor) -> Tensor:
        """L_l = e [CE(h^T, y) + CE(h^S, y)] + KL both ways; a frozen teacher's classifiers still learn to read it."""
        own = losses.cross_entropy(teacher, targets) + losses.cross_entropy(student, targets)
        return self.settings.mld_ce * own + mutual(self._softened, teacher, student, self.settings.towards_teacher)

    def _matched(self, teacher: Tapped, student: Tapped, stage: int, sizes: tuple[int, int]) -> Tensor:
        onto = self._grid(stage, sizes, teacher.logits.device)
        maps = []
        for name, tapped, matrix in zip(("teacher", "student"), (teacher, student), onto, strict=True):
            projection = cast(nn.ModuleDict, self.projections[name])[str(stage)]
            projected = projection(tapped.stages[stage].float())
            maps.append(_onto(matrix, projected))
        return mutual(losses.feature_distance, maps[0], maps[1], self.settings.towards_teacher)

    def _iam(self, teacher: Tapped, student: Tapped, targets: Tensor, sizes: tuple[int, int]) -> Tensor:
        s = self.settings
        wanted = losses.iam_targets(s.iam_classes, targets, teacher.clean, s.iam_top)
        onto = self._grid(-1, sizes, targets.device)
        maps = []
        for name, tapped, matrix in zip(("teacher", "student"), (teacher, student), onto, strict=True):
            weight = self._network(name).head_weight
            weight = weight if s.iam_into_head else weight.detach()
            found = _onto(matrix, losses.instance_maps(tapped.stages[-1], weight, wanted))
            maps.append(found - found.mean(0) if s.iam_own else found)
        if targets.is_floating_point() and s.iam_mixed == "skip":
            pure = (targets.max(1).values == 1)[:, None, None]
            maps = [m * pure for m in maps]  # an all-zero map contributes nothing
        distance = lambda target, learner: losses.map_distance(target, learner, floor=s.iam_floor)  # noqa: E731
        return mutual(distance, maps[0], maps[1], s.towards_teacher)

    def _grid(self, stage: int, sizes: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
        key = (stage, *sizes, str(device))
        if key not in self._grids:
            ends = [self._network(n).geometry(z)[stage] for n, z in zip(("teacher", "student"), sizes, strict=True)]
            first, second = losses.common_grid(ends[0], ends[1], sizes)
            self._grids[key] = (first.to(device), second.to(device))
        return self._grids[key]

    def _total(self, terms: dict[str, Tensor], progress: float) -> Tensor:
        s = self.settings
        weights = {"ce_teacher": 1.0, "ce_student": s.student_ce}
        for name, weight, ramp in (("kd", s.kd, s.kd_ramp), ("mld", s.mld, s.mld_ramp), ("iam", s.iam, s.iam_ramp)):
            weights[name] = weight * (min(1.0, progress / ramp) if ramp > 0 else 1.0)
        return torch.stack([weights[name] * term for name, term in terms.items() if name in weights]).sum()


def _onto(matrix: Tensor, maps: Tensor) -> Tensor:
    """(B, n, H, W) -> (B, n, N): resampled to the common grid, flattened."""
    return torch.einsum("ih,bnhw,jw->bnij", matrix, maps.float(), matrix).flatten(2)


def _check(teacher: TappedClassifier, student: TappedClassifier, settings: DistillSettings) -> None:
    if teacher.classes != student.classes:
        raise FoodkdError(
            f"The teacher knows {teacher.classes} classes and the student {student.classes}; both need the same list."
        )
    pair = settings.mode in ("joint", "one-way")
    count = len(teacher.taps), len(student.taps)
    if pair and settings.mld > 0 and (count[0] != count[1] or len(settings.mld_stages) != count[0]):
        raise FoodkdError(
            f"distill.mld_stages has {len(settings.mld_stages)} weights, the teacher {count[0]} stages and the student "
            f"{count[1]}; all three must be equal (or set distill.mld = 0)."
        )
    if pair and settings.mld > 0 and not settings.tapped:
        raise FoodkdError("distill.mld_stages has no weight above 0; give one, or set distill.mld = 0.")


def _check_maps(networks: dict[str, TappedClassifier], sizes: tuple[int, int]) -> None:
    for (name, network), size in zip(networks.items(), sizes, strict=True):
        grid = network.geometry(size)[-1].height
        if grid < 2:
            raise FoodkdError(
                f"The {name}'s maps have {grid} x {grid} cells at {size} px, which show no place; set its "
                "output_stride or a larger size, or set distill.iam = 0."
            )
        if not network.additive:
            raise FoodkdError(
                "IAM training needs networks that end in global average pooling and one linear layer, and the "
                f"{name} does not; use ResNet, DenseNet, InceptionV3, MobileNetV2, ShuffleNetV2, EfficientNet or "
                "RegNet, or set distill.iam = 0."
            )
