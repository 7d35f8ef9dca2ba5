"""The methods behind the maps, as pure functions of one stage's features and gradients.

Notation: A is one stage of one photo, (C, H, W); G is the gradient of one class's logit with respect to A, as large.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def mean_activation(features: Tensor) -> Tensor:
    """Mean over the channels, (C, H, W) -> (H, W): how much goes on in a place, whatever the class."""
    return features.mean(0)


def grad_cam(features: Tensor, gradient: Tensor) -> Tensor:
    """Grad-CAM (Selvaraju et al., ICCV 2017, eqs. 1 and 2): ReLU(sum_k a_k A_k), a_k the spatial mean of G_k.

    Args:
        features: A, (C, H, W).
        gradient: G, (C, H, W).

    Returns:
        (H, W), never negative.
    """
    weights = gradient.mean((1, 2))  # (C,)
    return torch.einsum("c,chw->hw", weights, features).relu()


def gradient_evidence(features: Tensor, gradient: Tensor) -> Tensor:
    """Grad-CAM without its ReLU, times the number of cells: (H, W), signed, in logits like a class activation map.

    After global average pooling and one linear layer it *is* the class activation map, since there G = W / (H W).
    """
    weights = gradient.sum((1, 2))  # (C,): the spatial mean times H W
    return torch.einsum("c,chw->hw", weights, features)


def layer_cam(features: Tensor, gradient: Tensor) -> Tensor:
    """Layer-CAM (Jiang et al., IEEE TIP 2021, eqs. 5 and 6): ReLU(sum_k ReLU(G_k) A_k), a weight for every single cell.

    Args:
        features: A, (C, H, W).
        gradient: G, (C, H, W).

    Returns:
        (H, W), never negative.
    """
    return (gradient.relu() * features).sum(0).relu()


def eigen_cam(features: Tensor) -> Tensor:
    """Eigen-CAM (Muhammad and Yeasin, IJCNN 2020, eq. 3): the features' first principal component, whatever the class.

    Centred first, as pytorch-grad-cam does. A principal component has no sign of its own; here it points to where the
    mean activation is higher, so that two networks' maps can be compared. Taken from the smaller of the two Gram
    matrices: the same vector as a full decomposition at a hundredth of the time.

    Args:
        features: A, (C, H, W).

    Returns:
        (H, W), signed, of zero mean; all zero where the features do not vary.
    """
    cells = features.flatten(1).T.double().cpu().numpy()  # (H W, C)
    mean = cells.mean(1)
    cells = cells - cells.mean(0)
    wide = cells.shape[1] > cells.shape[0]
    values, vectors = np.linalg.eigh(cells @ cells.T if wide else cells.T @ cells)
    first = vectors[:, -1]  # eigh sorts upwards
    projection = first * np.sqrt(max(values[-1], 0.0)) if wide else cells @ first
    projection *= -1.0 if projection @ (mean - mean.mean()) < 0 else 1.0
    return torch.from_numpy(projection.reshape(features.shape[1:]).astype(np.float32))


def cell_similarity(features: Tensor, y: int, x: int) -> Tensor:
    """Cosine between one cell's features and every cell's, (C, H, W) -> (H, W) in -1..1; 0 where a cell is all zero."""
    unit = torch.nn.functional.normalize(features, dim=0, eps=1e-12)
    return torch.einsum("c,chw->hw", unit[:, y, x], unit).clamp(-1.0, 1.0)


__all__ = ["cell_similarity", "eigen_cam", "grad_cam", "gradient_evidence", "layer_cam", "mean_activation"]
