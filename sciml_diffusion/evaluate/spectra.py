"""Power spectra of fields, to hold samples of a prior against data. Spectra are averaged, never the fields."""

import torch
from torch import Tensor


def axis_spectrum(x: Tensor, dim: int = -1, window: bool = False) -> Tensor:
    """Power along one axis: S_k = c_k |F_k|^2 / n^2, c = 2 but 1 at k = 0 and Nyquist; sum_k S_k = mean x^2 (Parseval).

    Arguments:
        x: fields of any shape; averaged over all other axes but the first: shape (N, ...) -> (N, n // 2 + 1), float64.
        dim: the axis, not the first. S_k belongs to the angular wavenumber 2 pi k / (n spacing).
        window: for an axis that is not periodic: remove a linear trend and apply a Hann window (power kept).

    Raises:
        ValueError: `dim` is the first axis.
    """
    if dim % x.ndim == 0:
        raise ValueError("the first axis is that of the samples; give the axis of the spectrum, for example dim=-1")
    x = x.to(torch.float64).movedim(dim, -1)
    power = torch.fft.rfft(_tapered(x) if window else x, dim=-1).abs() ** 2 / x.shape[-1] ** 2
    power = power * _columns(x.shape[-1], x.device)
    return power.flatten(1, -2).mean(1) if power.ndim > 2 else power


def isotropic_spectrum(x: Tensor, window: bool = False) -> Tensor:
    """Power in shells of |k|: E_q = sum of |F_k|^2 / (H W)^2 over q - 1/2 <= |k| < q + 1/2.

    k counts waves over the longer axis, with cells taken as square: k = max(H, W) (frequency per cell). Shells end at
    the Nyquist wavenumber; corner modes beyond it are dropped. E_0 holds the mean.

    Arguments:
        x: fields, with shape (N, ..., H, W); axes between are averaged.
        window: for axes that are not periodic: remove linear trends and apply Hann windows (power kept).

    Returns:
        With shape (N, max(H, W) // 2 + 1), float64.
    """
    if x.ndim < 3:
        raise ValueError(f"x needs the shape (N, ..., H, W); got {tuple(x.shape)}")
    x, (height, width) = x.to(torch.float64), x.shape[-2:]
    if window:
        x = _tapered(_tapered(x).transpose(-1, -2)).transpose(-1, -2)
    power = torch.fft.rfft2(x).abs() ** 2 / (height * width) ** 2 * _columns(width, x.device)
    power = power.flatten(1, -3).mean(1) if power.ndim > 3 else power
    size = max(height, width)
    along, across = torch.fft.fftfreq(height, dtype=torch.float64), torch.fft.rfftfreq(width, dtype=torch.float64)
    shell = (size * torch.hypot(along[:, None], across[None]) + 0.5).floor().long().flatten().to(x.device)
    out = x.new_zeros(len(x), int(shell.max()) + 1)
    return out.index_add(1, shell, power.flatten(1))[:, : size // 2 + 1]


def _columns(n: int, device) -> Tensor:
    """How often each column of an rfft counts in the full transform."""
    counts = torch.full((n // 2 + 1,), 2.0, dtype=torch.float64, device=device)
    counts[0] = 1
    if n % 2 == 0:
        counts[-1] = 1
    return counts


def _tapered(x: Tensor) -> Tensor:
    """Without the linear trend of the last axis, times a Hann window of mean square one."""
    n = x.shape[-1]
    t = torch.linspace(-1, 1, n, dtype=x.dtype, device=x.device)
    mean = x.mean(-1, keepdim=True)
    slope = (x * t).sum(-1, keepdim=True) / (t**2).sum()
    hann = torch.hann_window(n + 2, periodic=False, dtype=x.dtype, device=x.device)[1:-1]
    return (x - mean - slope * t) * hann / (hann**2).mean().sqrt()
