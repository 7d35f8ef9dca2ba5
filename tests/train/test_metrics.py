"""Figures against plain NumPy; calibration; labels by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foodkd.data import Photos, open_photos
from foodkd.errors import FoodkdError
from foodkd.nets import Pair
from foodkd.train.metrics import evaluate_pair, fit_temperature, labels_for, measure, predict


def plain(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The same figures, slowly. Bins as torchmetrics has them: closed below, the last one at both ends."""
    top, confidences, hits, losses = [], [], [], []
    for row, label in zip(logits.astype(np.float64), labels, strict=True):
        p = np.exp(row - row.max())
        p /= p.sum()
        order = sorted(range(len(row)), key=lambda i: -row[i])
        top.append(label in order[:5])
        hits.append(order[0] == label)
        confidences.append(p[order[0]])
        losses.append(-np.log(p[label]))
    bins = np.minimum((np.array(confidences) * 15).astype(int), 14)
    gaps = [abs(np.sum((bins == b) * (np.array(hits) - np.array(confidences)))) for b in range(15)]
    return {"top1": np.mean(hits), "top5": np.mean(top), "ece": sum(gaps) / len(labels), "nll": np.mean(losses)}


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    classes=st.integers(2, 12),
    count=st.integers(1, 60),
    scale=st.sampled_from([0.1, 3, 60]),
)
def test_figures_are_those_of_a_plain_loop(seed: int, classes: int, count: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    logits = (random.normal(size=(count, classes)) * scale).astype(np.float32)
    labels = random.integers(0, classes, count)
    found, expected = measure(torch.from_numpy(logits), torch.from_numpy(labels)), plain(logits, labels)
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, abs=1e-4, rel=1e-4), key


def calibrated(temperature: float, count: int = 4000) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits whose labels were drawn from softmax(logits / temperature)."""
    random = torch.Generator().manual_seed(3)
    logits = torch.randn(count, 6, generator=random) * 2 * temperature
    labels = torch.multinomial((logits / temperature).softmax(1), 1, generator=random)[:, 0]
    return logits, labels


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 8.0])
def test_a_known_temperature_is_found(temperature: float) -> None:
    assert fit_temperature(*calibrated(temperature)) == pytest.approx(temperature, rel=0.06)


def test_the_temperature_calibrates_and_moves_no_answer() -> None:
    logits, labels = calibrated(4.0)
    raw, scaled = measure(logits, labels), measure(logits, labels, fit_temperature(logits, labels))
    assert scaled["ece"] < 0.03 < raw["ece"] and scaled["nll"] < raw["nll"]
    assert (scaled["top1"], scaled["top5"]) == (raw["top1"], raw["top5"])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_few_photos_all_right_or_all_wrong_give_a_moderate_temperature(sign: int) -> None:
    logits = sign * 20 * torch.eye(3).repeat(4, 1)
    assert 0.1 < fit_temperature(logits, torch.arange(3).repeat(4)) < 60


@pytest.fixture(scope="module")
def generated() -> Photos:
    return open_photos("generated", None, "test", resolution=64, per_class=6)


def of_classes(photos: Photos, names: tuple[str, ...]) -> Photos:
    """The same photos as if the set's class list were another one."""
    chosen = np.flatnonzero(photos.labels < len(names))
    part = photos.subset(chosen)
    part.classes = names
    return part


def test_labels_follow_the_names_not_the_order(tiny_pair: Pair, generated: Photos) -> None:
    names = (tiny_pair.classes[2], tiny_pair.classes[0].replace("_", " ").title())
    part = of_classes(generated, names)
    assert labels_for(tiny_pair, part).tolist() == [(2, 0)[label] for label in part.labels]


def test_an_unknown_class_gets_a_sentence_with_near_names(tiny_pair: Pair, generated: Photos) -> None:
    with pytest.raises(FoodkdError, match=r"'disk_0' is not one of the 4 classes .*disc 0"):
        labels_for(tiny_pair, of_classes(generated, ("disk_0",)))


def test_predict_is_the_network_on_every_photo_in_order(tiny_pair: Pair, generated: Photos) -> None:
    network = tiny_pair.networks["student"]
    found = predict(network, generated, tiny_pair.preprocessing, 64, batch_size=5)
    with torch.inference_mode():
        one = network(tiny_pair.tensor("student", generated.read([7]))).logits
    assert found.shape == (len(generated), 4)
    assert torch.allclose(found[7], one[0], atol=1e-4)


def test_a_pair_is_judged_with_all_its_figures(tiny_pair: Pair, generated: Photos) -> None:
    result = evaluate_pair(tiny_pair, of_classes(generated, tiny_pair.classes[:2]), batch_size=4)
    logits = {n: predict(tiny_pair.networks[n], generated, tiny_pair.preprocessing, 64) for n in ("teacher", "student")}
    rows = torch.from_numpy(np.flatnonzero(generated.labels < 2))
    labels = torch.from_numpy(generated.labels)[rows]
    assert result["photos"] == len(rows)
    for name, answers in logits.items():
        own = measure(answers[rows], labels, tiny_pair.temperatures[name])
        assert {k: result[name][k] for k in own} == pytest.approx(own, abs=1e-5)
        assert result[name]["parameters"] == sum(p.numel() for p in tiny_pair.networks[name].network.parameters())
    same = logits["teacher"][rows].argmax(1) == logits["student"][rows].argmax(1)
    assert result["agreement"] == pytest.approx(same.float().mean().item())
