"""Further methods, computed by pytorch-grad-cam on a private copy of the network.

The library hooks the network, calls `eval()` and `zero_grad()` on it and always forwards again. So it gets a copy of
its own whose structure is private and whose weights are shared (no memory, no effect on the original), thrown away
afterwards.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foodkd.nets import TappedClassifier, centred

# Left out: AblationCAM (needs its layer swapped in the middle of the network, and keeps one ablation layer for all
# callers), FullGrad (has no stage), FinerCAM (needs a list of similar classes), ShapleyCAM (raises where the gradient
# is constant, as it is before a linear head).
LIBRARY_METHODS: dict[str, str] = {
    "gradcam++": "GradCAMPlusPlus",
    "xgradcam": "XGradCAM",
    "hirescam": "HiResCAM",
    "gradcam-elementwise": "GradCAMElementWise",
    "eigengradcam": "EigenGradCAM",
    "segeigencam": "SegEigenCAM",
    "scorecam": "ScoreCAM",
    "kpcacam": "KPCA_CAM",
    "fem": "FEM",
}


class _Observed(nn.Module):
    """Shows a tapped network to the library: logits come out, each stage passes through a module that can be hooked.

    The logits are centred, as everywhere in `foodkd.explain`.

    An identity returns the very tensor it is given, so a hook on it sees the stage and its gradient.
    """

    def __init__(self, network: TappedClassifier, stages: int) -> None:
        super().__init__()
        self.network = network
        self.taps = nn.ModuleList(nn.Identity() for _ in range(stages))

    def forward(self, images: Tensor) -> Tensor:
        tapped = self.network(images)
        for tap, stage in zip(self.taps, tapped.stages, strict=True):
            tap(stage)
        return centred(tapped.logits)


def private_copy(network: TappedClassifier) -> TappedClassifier:
    """A copy with a structure of its own (modules, flags, hooks) over the same weights and buffers."""
    shared: dict[int, Any] = {
        id(weight): nn.Parameter(weight.detach(), requires_grad=False) for weight in network.parameters()
    }
    shared |= {id(buffer): buffer for buffer in network.buffers()}
    return copy.deepcopy(network, shared)


def library_map(network: TappedClassifier, image: Tensor, *, method: str, stage: int, class_index: int) -> np.ndarray:
    """One map by pytorch-grad-cam, on the stage's own grid and before the library's scaling to 0..1.

    Args:
        network: in eval; neither it nor its gradients change.
        image: (1, 3, S, S).
        method: a key of `LIBRARY_METHODS`.
        stage: index of the stage.
        class_index: the class explained (KPCA-CAM and FEM do not depend on it).

    Returns:
        (H, W) float32, never negative.
    """
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    observed = _Observed(private_copy(network), len(network.geometry(image.shape[-1])))
    raw: list[np.ndarray] = []
    with torch.inference_mode(False), torch.enable_grad():
        engine = getattr(pytorch_grad_cam, LIBRARY_METHODS[method])(observed, [observed.taps[stage]])
        _keep_raw(engine, raw)
        engine(image.detach().clone().requires_grad_(), [ClassifierOutputTarget(class_index)])
    return np.maximum(np.nan_to_num(raw[0]), 0.0).astype(np.float32)


def _keep_raw(engine: Any, raw: list[np.ndarray]) -> None:
    """The library returns maps enlarged and scaled to 0..1; catch what it computes on the grid before that."""
    compute = engine.get_cam_image

    def computed(*arguments: Any, **options: Any) -> Any:
        result = compute(*arguments, **options)
        values = result.detach().cpu().numpy() if isinstance(result, Tensor) else np.asarray(result)
        raw.append(values[0])
        return result

    engine.get_cam_image = computed


__all__ = ["LIBRARY_METHODS", "library_map", "private_copy"]
