"""Projections that make conservation laws exact: divergence, linear invariants, boundary values, positivity."""

from collections.abc import Mapping

import torch
from torch import Tensor

from .derivatives import Derivatives
from .grid import Grid


class DivergenceFree:
    """Nearest velocity without divergence on a periodic grid: v_hat <- v_hat - kappa (kappa . v_hat) / |kappa|^2.

    kappa is the symbol of the scheme's own first derivative (k, or sin(k h) / h for central differences), so that the
    divergence is zero in the metric that `Derivatives` with this scheme computes, to rounding. The mean flow stays;
    modes at a Nyquist wavenumber, of which no derivative can tell the divergence, are zeroed. Idempotent, self-adjoint.

    Arguments:
        grid: periodic, even axes.
        velocity: {dim: name of the channel}, one for each axis of the grid.
        scheme: of `Derivatives`.
        fields: names of all channels; by default those of the velocity. Other channels pass.

    Raises:
        ValueError: where an axis has no velocity or no Fourier modes.
    """

    def __init__(
        self, grid: Grid, velocity: Mapping[str, str], scheme="spectral", fields: tuple[str, ...] | None = None
    ):
        if set(velocity) != set(grid.dims):
            raise ValueError(f"a velocity needs one component along each of {grid.dims}; got {dict(velocity)}")
        derivatives = Derivatives(grid, scheme)
        self.grid, self.fields = grid, tuple(fields or velocity.values())
        self.channels = [self.fields.index(velocity[dim]) for dim in grid.dims]
        kappa, keep = [], torch.ones((), dtype=torch.float64)
        for axis, (dim, n) in enumerate(zip(grid.dims, grid.sizes, strict=True)):
            shape = [1] * len(grid.dims)
            shape[axis] = -1
            full = axis + 1 < len(grid.dims)
            kappa.append(derivatives.symbol(dim, 1, full=full).imag.reshape(shape))
            waves = torch.fft.fftfreq(n) if full else torch.fft.rfftfreq(n)
            keep = keep * (waves.abs() < 0.5 - 1e-6).reshape(shape)
        self.keep = keep
        self.kappa = torch.stack(torch.broadcast_tensors(*kappa)) * keep
        square = (self.kappa**2).sum(0)
        self.direction = self.kappa / torch.where(square == 0, 1.0, square)

    def __call__(self, x: Tensor) -> Tensor:
        """The projected fields: shape (B, C, T, *S) -> (B, C, T, *S)."""
        axes = tuple(range(-len(self.grid.dims), 0))
        modes = torch.fft.rfftn(x[:, self.channels].transpose(1, 2), dim=axes)
        along = (self.kappa.to(x) * modes).sum(2, keepdim=True)
        modes = self.keep.to(x) * modes - self.direction.to(x) * along
        velocity = torch.fft.irfftn(modes, s=self.grid.sizes, dim=axes).transpose(1, 2)
        parts = list(x.unbind(1))
        for i, channel in enumerate(self.channels):
            parts[channel] = velocity[:, i]
        return torch.stack(parts, 1)


class LinearInvariants:
    """Nearest fields with A u = b: u + W A^T (A W A^T)^{-1} (b - A u), nearest in sum (du)^2 / W.

    Where W is a prior's variance this is the mean given the exact values b. Idempotent; its linear part is self-adjoint
    in the weight 1 / W.

    Arguments:
        rows: A, with shape (m, C, *S) for each frame on its own, or (m, C, T, *S) for windows.
        variance: W > 0, with the shape of one row; by default 1.

    Raises:
        ValueError: rows that depend on each other, or a variance that is not > 0.
    """

    def __init__(self, rows: Tensor, variance: Tensor | None = None):
        weight = torch.ones_like(rows[0]) if variance is None else variance.expand_as(rows[0]).to(rows)
        if not (weight > 0).all():
            raise ValueError("the variance of a projection must be > 0 everywhere")
        self.rows = rows
        gram = torch.einsum("i...,j...->ij", rows * weight, rows)
        size = gram.diagonal().clamp_min(1e-300).rsqrt()
        if not torch.linalg.eigvalsh(size[:, None] * gram * size)[0] > 1e-10:
            raise ValueError("the rows of the invariants depend on each other; leave out those that follow from others")
        self.gain = torch.linalg.solve(gram, (rows * weight).flatten(1)).reshape(rows.shape)

    def values(self, u: Tensor) -> Tensor:
        """A u: shape (B, C, T, *S) -> (B, m, T) where the rows are of single frames, else (B, m)."""
        if u.ndim == self.rows.ndim:
            return torch.einsum("m...,b...->bm", self.rows.to(u), u)
        return torch.einsum("mcs,bcts->bmt", self.rows.to(u).flatten(2), u.flatten(3))

    def __call__(self, u: Tensor, values: Tensor) -> Tensor:
        """The projected fields: shape (B, C, T, *S) -> (B, C, T, *S).

        Arguments:
            u: fields, with shape (B, C, T, *S).
            values: b, which broadcasts to A u: (B, m, T) or (B, m).
        """
        missing, gain = (values.to(u) - self.values(u)), self.gain.to(u)
        if u.ndim == self.rows.ndim:
            return u + torch.einsum("bm,m...->b...", missing, gain)
        return u + torch.einsum("bmt,mcs->bcts", missing, gain.flatten(2)).reshape(u.shape)


def mass_row(volumes: Tensor, channel: int, channels: int) -> Tensor:
    """The row of A whose product is the integral of one channel, with shape (1, C, *S).

    Arguments:
        volumes: of the cells, with shape (*S).
        channel: which one.
        channels: C.
    """
    return torch.stack([volumes * (c == channel) for c in range(channels)])[None]


def positive(u: Tensor, volumes: Tensor | float = 1.0, low: float = 0.0) -> Tensor:
    """max(u, low), then scaled above low so that the integral of each field stays: shape (B, C, T, *S) to itself.

    Zeros stay zeros and positive fields stay as they are. A total that lies below that of the bound by no more than
    rounding, 1000 eps of the largest sum of sizes in its channel, becomes that of the bound.

    Arguments:
        u: fields, with shape (B, C, T, *S).
        volumes: of the cells, broadcasting to (*S).
        low: lower bound.

    Raises:
        ValueError: where the integral of a field lies below that of the bound, so that no such field exists.
    """
    above, spatial = u - low, tuple(range(3, u.ndim))
    weight = volumes.to(u) if isinstance(volumes, Tensor) else volumes
    total, clipped = (above * weight).sum(spatial, keepdim=True), above.clamp_min(0)
    sizes = ((u.detach().abs() + abs(low)) * weight).sum(spatial, keepdim=True).amax((0, 2), keepdim=True)
    if bool((total < -1e3 * torch.finfo(u.dtype).eps * sizes).any()):
        raise ValueError(f"a field has less mass than the bound {low:g} everywhere; correct its mass first")
    mass = (clipped * weight).sum(spatial, keepdim=True)
    return low + clipped * (total.clamp_min(0) / torch.where(mass > 0, mass, 1.0))


def boundary_values(
    u: Tensor, grid: Grid, dim: str, first: Tensor | float | None, last: Tensor | float | None
) -> Tensor:
    """u with the values of its first and last row along an axis replaced: shape (B, C, T, *S) to itself.

    Arguments:
        u: fields, with shape (B, C, T, *S), on nodes that lie on the boundary.
        grid: axes.
        dim: the axis.
        first: values at its first row, broadcasting to (B, C, T, *S without dim), or None to leave them.
        last: at its last row.
    """
    axis = grid.dims.index(dim) - len(grid.dims)
    rows = list(u.unbind(axis))
    for i, value in ((0, first), (-1, last)):
        if value is not None:
            rows[i] = torch.as_tensor(value, dtype=u.dtype, device=u.device).expand_as(rows[i])
    return torch.stack(rows, axis)
