"""The student in 8 bits: weights and activations as integers, scales found on real photos.

Static quantisation (Jacob et al., CVPR 2018): a scale per output channel of each convolution's weights, one per
activation, written as pairs of QuantizeLinear and DequantizeLinear that every ONNX runtime understands. Preprocessing
and the last linear layer stay in float32, so that a class's map still averages, plus its bias, to its logit.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foodkd.data import Photos
from foodkd.export.graph import PHOTO

if TYPE_CHECKING:
    import onnx

BATCH = 16


def quantise(source: Path, target: Path, photos: Photos) -> None:
    """Write an 8-bit copy of an exported student.

    Args:
        source: the float32 file.
        target: the new file.
        photos: what the scales are found on; a few hundred are enough.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        _silently(
            quantize_static,
            prepared,
            target,
            _reader(photos),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            # Unsigned weights have a zero point, so they lose less; and x86 processors without VNNI add up products of
            # signed weights in 16 bits, which overflow silently.
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QUInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_quantize=_body(prepared),
        )


def _silently(function: Any, *arguments: Any, **options: Any) -> None:
    """onnxruntime's quantiser speaks through the root logger; its advice on pre-processing was followed already."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        function(*arguments, **options)
    finally:
        logging.disable(before)


def _reader(photos: Photos) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = _batches(photos)

        def get_next(self) -> Mapping[str, np.ndarray] | None:
            return next(self.batches, None)

    return Reader()


def _batches(photos: Photos) -> Iterator[dict[str, np.ndarray]]:
    for start in range(0, len(photos), BATCH):
        yield {PHOTO: photos.read(np.arange(start, min(start + BATCH, len(photos))))}


def _body(path: Path) -> list[str]:
    """Names of the nodes from the first convolution to the last features: all that is quantised."""
    import onnx

    graph = onnx.load(path).graph
    wanted = _downstream(graph, "Conv") & _upstream(graph, "features")
    return [node.name for node in graph.node if node.name in wanted]


def _downstream(graph: onnx.GraphProto, first: str) -> set[str]:
    """Names of the first node of that type and of all that depend on it; nodes stand in the order of the data."""
    names: set[str] = set()
    tensors: set[str] = set()
    for node in graph.node:
        if tensors & set(node.input) or (node.op_type == first and not names):
            names.add(node.name)
            tensors |= set(node.output)
    return names


def _upstream(graph: onnx.GraphProto, output: str) -> set[str]:
    """Names of the nodes that an output depends on."""
    names: set[str] = set()
    tensors = {output}
    for node in reversed(graph.node):
        if tensors & set(node.output):
            names.add(node.name)
            tensors |= set(node.input)
    return names
