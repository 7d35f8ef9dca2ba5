"""The student as one graph, from the reduced photo to answers and maps.

Whoever runs it elsewhere (a phone, a browser, another language) only has to cut the centre square and reduce it;
scaling, normalising and enlarging are part of the graph, so they can't be got wrong.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from foodkd.errors import FoodkdError
from foodkd.nets import Pair

if TYPE_CHECKING:
    import onnx

PHOTO = "photo"
"""The graph's input: uint8 (batch, R, R, 3), the photo's centre square, reduced."""


class StudentGraph(nn.Module):
    """A pair's student with its preprocessing before it, its calibration and its activation maps behind it.

    Auxiliary classifiers are no part of it: they served the training. Outputs are named in `outputs`; "maps" is there
    where the last features are averaged and meet the linear layer at once: only then maps of classes add up to logits.

    Args:
        pair: the student's pair; nothing of it is changed.
    """

    def __init__(self, pair: Pair) -> None:
        super().__init__()
        self.student = copy.deepcopy(pair.networks["student"])
        weight, bias = self.student.centred_head
        self.student.last.load_state_dict({"weight": weight, "bias": bias})  # then all outputs are centred
        self.preprocessing = pair.preprocessing
        self.size = pair.sizes["student"]
        self.temperature = pair.temperatures["student"]
        self.additive = self.student.additive  # found by a probe of numbers, which a trace can't follow: so found here
        self.outputs = ("logits", "probabilities", "features", *(("maps",) if self.additive else ()))
        self.eval()

    def forward(self, photo: Tensor) -> tuple[Tensor, ...]:
        """uint8 (B, R, R, 3) -> logits (B, K), probabilities (B, K), features (B, C, H, W), maps (B, K, H, W).

        Logits are centred: a class's lead over the average class. Probabilities are softmax(logits / T), T the
        calibration temperature (Guo et al., ICML 2017). A class's map averages, plus its bias, to its logit (Zhou et
        al., CVPR 2016, eq. 2, with weight and bias less their means over the classes).
        """
        tapped = self.student(self.preprocessing.tensor(photo, self.size))
        features = tapped.stages[-1]
        probabilities = (tapped.logits / self.temperature).softmax(1)
        answers = (tapped.logits, probabilities, features)
        if not self.additive:
            return answers
        return *answers, torch.einsum("kc,bchw->bkhw", self.student.head_weight, features)

    def run(self, photos: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs by name, computed by PyTorch: what every exported file is held against."""
        with torch.inference_mode():
            answers = self(torch.from_numpy(photos))
        return {name: answer.numpy() for name, answer in zip(self.outputs, answers, strict=True)}


def write_onnx(graph: StudentGraph, path: Path) -> onnx.ModelProto:
    """Write the graph as ONNX, for any batch size, and return it.

    Args:
        graph: what to write.
        path: the file.

    Raises:
        FoodkdError: the network uses something that ONNX can't say.
    """
    import onnx

    side = graph.preprocessing.resolution
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8)  # two: a batch of one would be taken for a constant
    options: dict[str, Any] = {"input_names": [PHOTO], "output_names": list(graph.outputs), "external_data": False}
    try:
        with _quiet():
            batch = {PHOTO: {0: torch.export.Dim("batch")}}
            torch.onnx.export(graph, (example,), path, dynamo=True, dynamic_shapes=batch, verbose=False, **options)
    except torch.onnx.errors.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise FoodkdError(f"This student can't be written as ONNX ({reason}); choose another backbone.") from error
    model = onnx.load(path)
    _forget_origin(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter reports its progress and what it deprecates inside torch; neither is for our users."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _forget_origin(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes beside every node: stack traces with this machine's paths, of no use elsewhere."""
    graph = model.graph
    values = [*graph.input, *graph.output, *graph.value_info, *graph.initializer]
    for item in [model, graph, *graph.node, *values, *model.functions]:
        item.doc_string = ""
        del item.metadata_props[:]
