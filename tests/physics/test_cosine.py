"""Cosine and sine transforms. Truth: the sums that define them; the inverse is the transpose."""

import math

import pytest
import torch

from sciml_diffusion.physics.cosine import dct, dst, idct, idst


def matrix(kind: str, n: int) -> torch.Tensor:
    """The orthonormal matrix (k, j) of a transform, from its definition."""
    j, k = torch.arange(n, dtype=torch.float64), torch.arange(n, dtype=torch.float64)[:, None]
    if kind == "dct":
        rows = (math.pi * k * (j + 0.5) / n).cos()
    elif kind == "dst1":
        rows = (math.pi * (k + 1) * (j + 1) / (n + 1)).sin()
    else:
        rows = (math.pi * (k + 1) * (j + 0.5) / n).sin()
    return rows / rows.norm(dim=1, keepdim=True)


PAIRS = {
    "dct": (dct, idct),
    "dst1": (lambda x, axis=-1: dst(x, axis, type=1), lambda x, axis=-1: idst(x, axis, type=1)),
    "dst2": (dst, idst),
}


@pytest.mark.parametrize("n", [1, 2, 7, 16])
@pytest.mark.parametrize("kind", PAIRS)
def test_transform_is_its_matrix_and_the_inverse_its_transpose(kind, n):
    """To rounding, along both axes."""
    forward, inverse = PAIRS[kind]
    rows, x = matrix(kind, n), torch.randn(3, n, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert (forward(x, 1) - torch.einsum("kj,bjc->bkc", rows, x)).abs().max() < 1e-13
    assert (inverse(x, 1) - torch.einsum("kj,bkc->bjc", rows, x)).abs().max() < 1e-13
    assert (inverse(forward(x.mT)).mT - x).abs().max() < 1e-13


@pytest.mark.parametrize("kind", PAIRS)
def test_float32_and_gradient(kind):
    """float32 stays float32 and errs by its rounding; the gradient of <w, T x> is T^T w, exact to rounding."""
    forward, inverse = PAIRS[kind]
    x = torch.randn(2, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    single = forward(x.detach().float())
    assert single.dtype == torch.float32 and (single - forward(x.detach())).abs().max() < 3e-6
    weight = torch.linspace(-1, 1, 18, dtype=torch.float64).reshape(2, 9)
    (gradient,) = torch.autograd.grad((weight * forward(x)).sum(), x)
    assert (gradient - inverse(weight)).abs().max() < 1e-13


def test_unknown_type_is_named():
    for transform in (dst, idst):
        with pytest.raises(ValueError, match="type 1 .nodes. or 2 .cells.; got 4"):
            transform(torch.zeros(3), type=4)
