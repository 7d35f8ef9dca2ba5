"""What a network gets right: top-1, top-5, calibration; for one network, a pair, and a set with the pair's classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foodkd.data import Photos, Preprocessing
from foodkd.data.names import plain
from foodkd.errors import FoodkdError
from foodkd.nets import Pair, TappedClassifier


def predict(
    network: TappedClassifier,
    photos: Photos,
    preprocessing: Preprocessing,
    size: int,
    *,
    batch_size: int = 64,
    device: str | torch.device = "cpu",
    precision: str = "float32",
    progress: Callable[[int], object] | None = None,
) -> Tensor:
    """Logits (N, K) float32 of every photo, in order; the network must be in eval.

    Args:
        network: on `device`.
        photos: N photos.
        preprocessing: the checkpoint's.
        size: the network's input side.
        batch_size: photos per pass.
        device: where the network is.
        precision: "float32", or "bfloat16" for a quicker look during training.
        progress: called with the number of photos done, after each pass.
    """
    logits = []
    for indices in _batches(len(photos), batch_size):
        images = preprocessing.tensor(torch.from_numpy(photos.read(indices)), size).to(device)
        low = precision == "bfloat16"
        with torch.inference_mode(), torch.autocast(images.device.type, torch.bfloat16, enabled=low):
            logits.append(network(images.contiguous(memory_format=torch.channels_last)).logits.float().cpu())
        if progress is not None:
            progress(int(indices[-1]) + 1)
    return torch.cat(logits)


def _batches(count: int, size: int) -> Iterator[np.ndarray]:
    for start in range(0, count, size):
        yield np.arange(start, min(start + size, count))


def measure(logits: Tensor, labels: Tensor, temperature: float = 1.0) -> dict[str, float]:
    """Rates in 0..1 of one network.

    Args:
        logits: (N, K).
        labels: (N,).
        temperature: calibration temperature; it moves only the calibration error and the loss.

    Returns:
        "top1", "top5", "ece" (expected calibration error, 15 equal bins: Guo et al., ICML 2017, eq. 3), "nll".
    """
    from torchmetrics.functional.classification import multiclass_calibration_error

    best = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
    scaled = logits / temperature
    # A confidence of exactly 1 belongs to the last bin; torchmetrics would give it a sixteenth of its own.
    sure = scaled.softmax(1).clamp(max=1 - 1e-7)
    ece = multiclass_calibration_error(sure, labels, num_classes=logits.shape[1], n_bins=15)
    nll = torch.nn.functional.cross_entropy(scaled, labels)
    top = {"top1": best[:, 0].float().mean().item(), "top5": best.any(1).float().mean().item()}
    return {**top, "ece": float(ece), "nll": float(nll)}


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature T > 0 that calibrates logits / T on N held-out photos (Guo et al., ICML 2017).

    Minimises N * cross entropy + 2 (log T)^2. The second part (a prior: T is within a factor of 1.6, give or take)
    weighs nothing on a thousand photos; without it a few dozen that are all answered rightly would drive T to zero.
    """
    log_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_t], max_iter=60, line_search_fn="strong_wolfe")
    logits = logits.double()

    def closure() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(logits / log_t.exp(), labels) + 2 * log_t**2 / len(labels)
        loss.backward()
        return float(loss.detach())

    optimizer.step(closure)
    return float(log_t.detach().exp())


def labels_for(pair: Pair, photos: Photos) -> Tensor:
    """The photos' labels in the pair's own class order (N,); a set that holds only some of the classes is welcome.

    Raises:
        FoodkdError: the set has a class that the pair does not know.
    """
    index = {plain(name): i for i, name in enumerate(pair.classes)}
    exact = {name: i for i, name in enumerate(pair.classes)}  # where two names differ in nothing but their spelling
    unknown = [name for name in photos.classes if plain(name) not in index]
    if unknown:
        import difflib

        near = difflib.get_close_matches(plain(unknown[0]), list(index), n=3)
        hint = f"close names it knows: {', '.join(near)}" if near else f"it knows {', '.join(pair.classes[:5])}, ..."
        raise FoodkdError(f"'{unknown[0]}' is not one of the {len(pair.classes)} classes of {pair.name}; {hint}.")
    mapping = np.array([exact.get(name, index[plain(name)]) for name in photos.classes], dtype=np.int64)
    return torch.from_numpy(mapping[photos.labels])


def evaluate_pair(
    pair: Pair, photos: Photos, *, batch_size: int = 64, progress: Callable[[str, int], object] | None = None
) -> dict[str, Any]:
    """Judge every network of a pair on a photo set, against all of the pair's classes.

    Returns:
        {"photos": N, "teacher": {"top1", "top5", "ece", "nll", "parameters", "bytes"}, "student": {...}, "agreement"},
        and "student-alone" where there is one. Rates are in 0..1; "agreement" is how often teacher and student answer
        the same.
    """
    return judge(pair, predict_pair(pair, photos, batch_size=batch_size, progress=progress), labels_for(pair, photos))


def predict_pair(
    pair: Pair, photos: Photos, *, batch_size: int = 64, progress: Callable[[str, int], object] | None = None
) -> dict[str, Tensor]:
    """Logits (N, K) float32 of every network of a pair; `progress` is told the network and the photos done."""
    logits = {}
    for name, network in pair.networks.items():
        told = None if progress is None else (lambda done, name=name: progress(name, done))
        logits[name] = predict(
            network, photos, pair.preprocessing, pair.sizes[name], batch_size=batch_size, progress=told
        )
    return logits


def judge(pair: Pair, logits: Mapping[str, Tensor], labels: Tensor) -> dict[str, Any]:
    """What `evaluate_pair` returns, from each network's logits (N, K) on photos with `labels` (N,)."""
    result: dict[str, Any] = {"photos": len(labels)}
    for name, own in logits.items():
        costs = pair.costs(name)
        rates = measure(own, labels, pair.temperatures[name])
        result[name] = rates | {"parameters": costs["parameters"], "bytes": costs["bytes"]}
    same = logits["teacher"].argmax(1) == logits["student"].argmax(1)
    return result | {"agreement": same.float().mean().item()}
