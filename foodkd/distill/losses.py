"""The terms of the objective, one pure function each.

Teacher and student are trained together, so every distillation term exists in two directions. A directional term has a
*target* (detached here, never by the caller) and a *learner*; `mutual` adds the reverse direction with weight r. All
arithmetic is float32 whatever the networks ran in. What Zhao, Yap and Kot (ICASSP 2021) fix and what is this project's
reading: docs/method.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from foodkd.nets.geometry import Stage

Directional = Callable[[Tensor, Tensor], Tensor]


def mutual(term: Directional, teacher: Tensor, student: Tensor, reverse: float) -> Tensor:
    """term(sg teacher -> student) + r * term(sg student -> teacher): joint when r > 0, one-directional when r = 0.

    Args:
        term: a directional term, `term(target, learner)`.
        teacher: what the teacher says; the student's target.
        student: what the student says; with r > 0 also the teacher's target.
        reverse: r in [0, 1].

    Returns:
        Scalar. With r = 0 no gradient reaches the teacher.
    """
    forward = term(teacher, student)
    return forward + reverse * term(student, teacher) if reverse > 0 else forward


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """CE(z, y), the mean over the batch.

    Args:
        logits: (B, K).
        targets: (B,) class indices, or (B, K) probabilities where photos are mixed.
        smoothing: label smoothing in [0, 1).
    """
    return F.cross_entropy(logits.float(), targets, label_smoothing=smoothing)


def divergence(target: Tensor, learner: Tensor, temperature: float) -> Tensor:
    """tau^2 * KL( sg p_tau(target) || p_tau(learner) ), the mean over the batch (Hinton et al., 2015, section 2).

    Args:
        target: logits (B, K); detached.
        learner: logits (B, K).
        temperature: tau > 0; tau^2 keeps the size of the gradient independent of tau.
    """
    wanted = F.log_softmax(target.detach().float() / temperature, dim=1)
    given = F.log_softmax(learner.float() / temperature, dim=1)
    # "batchmean": the mean over "mean" would also divide by the number of classes.
    return temperature**2 * F.kl_div(given, wanted, reduction="batchmean", log_target=True)


def feature_distance(target: Tensor, learner: Tensor, floor: float = 1e-4) -> Tensor:
    """1 - cosine over space, the mean over channels and batch: the second form of MLD.

    Args:
        target: projected features (B, C, N) on common positions; detached.
        learner: likewise (B, C, N).
        floor: root mean square below which a channel contributes nothing.
    """
    return map_distance(target, learner, floor=floor, centred=False)


def instance_maps(features: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Instance activation maps: evidence for a photo's own label against the average class.

    A(u, v) = sum_c (W[y, c] - mean_k W[k, c]) * F[c, u, v]

    The mean over classes is taken off because adding one vector to all rows of W changes no prediction, and so must not
    change the map. With mixed photos the rows are mixed by the labels' weights.

    Args:
        features: last stage, (B, C, H, W).
        weight: W of the last linear layer, (K, C).
        targets: (B,) the label only; (B, n) several classes per photo; (B, K) float: a mixture of labels.

    Returns:
        (B, n, H, W) float32, n = 1 for labels and mixtures.
    """
    rows = (weight - weight.mean(0)).float()
    if targets.is_floating_point():
        chosen = (targets @ rows)[:, None]  # (B, 1, C)
    else:
        chosen = rows[targets if targets.ndim == 2 else targets[:, None]]  # (B, n, C)
    return torch.einsum("bnc,bchw->bnhw", chosen, features.float())


def common_grid(teacher: Stage, student: Stage, sizes: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Matrices that bring two networks' maps onto one grid in image coordinates.

    The common grid spans what both networks' cells cover and is as coarse as the coarser of the two there; between cell
    centres it interpolates linearly.

    Args:
        teacher: the teacher's stage at its input size.
        student: the student's.
        sizes: input side of teacher and student in pixels (both see the same crop).

    Returns:
        (n, H_teacher) and (n, H_student): `M @ A @ M.T` is the resampled map.
    """
    spans = [_span(stage, size) for stage, size in zip((teacher, student), sizes, strict=True)]
    low, high = max(span[0] for span in spans), min(span[1] for span in spans)
    pitch = max(stage.step / size for stage, size in zip((teacher, student), sizes, strict=True))
    count = max(2, int((high - low) / pitch + 1e-6) + 1)
    places = torch.linspace(low, high, count)
    first, second = (_interpolation(s, z, places) for s, z in zip((teacher, student), sizes, strict=True))
    return first, second


def _span(stage: Stage, size: int) -> tuple[float, float]:
    """First and last cell's centre, as fractions of the photo's side."""
    last = stage.start + stage.step * (stage.height - 1)
    return (stage.start + 0.5) / size, (last + 0.5) / size


def _interpolation(stage: Stage, size: int, places: Tensor) -> Tensor:
    """(n, H): linear interpolation of a stage's cells at places (n,) given as fractions of the photo's side."""
    cell = ((places * size - 0.5 - stage.start) / stage.step).clamp(0, stage.height - 1)
    return (1 - (cell[:, None] - torch.arange(stage.height)).abs()).clamp(min=0)


def map_distance(target: Tensor, learner: Tensor, *, floor: float = 1e-4, centred: bool = True) -> Tensor:
    """1 - cosine between maps after each one's spatial mean is taken off; a mean over maps and batch.

    Args:
        target: (B, n, N) maps on a common grid, flattened; detached.
        learner: (B, n, N).
        floor: a map whose root mean square (after centring) is below this contributes nothing: normalising an all-zero
            map has gradients without bound.
        centred: take the spatial mean off first (maps of any photos agree in their mean).
    """
    target, learner = target.detach().float(), learner.float()
    if centred:
        target, learner = (maps - maps.mean(-1, keepdim=True) for maps in (target, learner))
    smallest = floor * target.shape[-1] ** 0.5
    alive = (target.norm(dim=-1) > smallest) & (learner.detach().norm(dim=-1) > smallest)
    # A dead map is replaced before its norm is taken: the gradient of a norm at zero is not a number.
    learner = torch.where(alive[..., None], learner, 1.0)
    target = torch.where(alive[..., None], target, 1.0)
    cosine = F.cosine_similarity(target, learner, dim=-1)
    return ((1 - cosine) * alive).mean()


IamClasses = Literal["label", "top", "all"]


def iam_targets(choice: IamClasses, labels: Tensor, teacher_logits: Tensor, top: int) -> Tensor:
    """Which classes' maps the IAM term compares.

    Args:
        choice: "label" (the photo's own label), "top" (the teacher's n best), "all" (every class).
        labels: (B,) or (B, K) targets.
        teacher_logits: (B, K).
        top: n, at most K.

    Returns:
        What `instance_maps` takes as `targets`.
    """
    if choice == "label":
        return labels
    classes = teacher_logits.shape[1]
    return teacher_logits.topk(min(top, classes) if choice == "top" else classes, dim=1).indices
