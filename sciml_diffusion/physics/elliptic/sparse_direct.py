"""Sparse factorisations of A(T), one sample after the other, on the CPU."""

import numpy as np
import torch
from torch import Tensor


def solve_sparse(faces: tuple[Tensor, ...], f: Tensor) -> Tensor:
    """u with A(T) u = f, from a sparse factorisation of each sample: shape (B, *S) -> (B, *S), float64.

    The matrix is symmetric and positive definite: it is ordered for a symmetric pattern and not pivoted.
    Source: Li, SuperLU, ACM Trans. Math. Softw. 31 (2005), through scipy.

    Arguments:
        faces: T_i, for each axis i, with shape (B, *S) but one more along the axis i.
        f: right sides, with shape (B, *S).
    """
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import splu

    size = tuple(f.shape[1:])
    rows, columns = _pattern(size)
    values = _values([face.detach().cpu().double().numpy() for face in faces])
    right = f.detach().cpu().double().numpy().reshape(len(f), -1)
    solved = np.empty_like(right)
    count = right.shape[1]
    for sample, entries in enumerate(values):
        matrix = csc_array((entries, (rows, columns)), shape=(count, count))
        factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        solved[sample] = factors.solve(right[sample])
    return torch.from_numpy(solved).reshape(f.shape).to(f)


def _pattern(size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the diagonal, then for each axis of the neighbours before and after."""
    index = np.arange(int(np.prod(size)), dtype=np.int32).reshape(size)
    rows, columns = [index.ravel()], [index.ravel()]
    for axis in range(len(size)):
        lower = np.delete(index, -1, axis).ravel()
        upper = np.delete(index, 0, axis).ravel()
        rows += [lower, upper]
        columns += [upper, lower]
    return np.concatenate(rows), np.concatenate(columns)


def _values(faces: list[np.ndarray]) -> np.ndarray:
    """Entries of each sample in the order of `_pattern`, with shape (B, entries)."""
    total, sides = 0.0, []
    for axis, face in enumerate(faces, start=1):
        n = face.shape[axis] - 1
        total = total + face.take(range(n), axis) + face.take(range(1, n + 1), axis)
        inner = -face.take(range(1, n), axis).reshape(len(face), -1)
        sides += [inner, inner]
    return np.concatenate([total.reshape(len(total), -1), *sides], 1)
