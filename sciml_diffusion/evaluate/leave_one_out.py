"""Each sensor predicted from all others, out of one posterior ensemble: Pareto-smoothed importance sampling."""

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .stations import at_sensors, fields_of, sensor_values, with_time

if TYPE_CHECKING:
    import xarray as xr

RELIABLE = 0.7  # shape k of the Pareto tail above which the weights of a sensor cannot be trusted


def leave_one_out_pit(seen: Tensor, y: Tensor, std: Tensor, log_weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """PIT of every sensor under the posterior of all others, and the shape k of its weights' tail.

    Member x_k of p(x | y) has the weight 1 / p(y_i | x_k) for p(x | y without i); the PIT is the weighted mean of
    Phi((y_i - h_ik) / std_i), uniform under the model. The largest weights are smoothed by a generalised Pareto law;
    above k = `RELIABLE` a sensor tells its ensemble too much for this, and its PIT means nothing: leave it out.
    Source: Vehtari, Simpson, Gelman, Yao and Gabry, Pareto smoothed importance sampling, JMLR 25 (2024).

    Arguments:
        seen: h = A x of the members, with shape (K, m).
        y, std: data and the noise's standard deviations, with shape (m,).
        log_weights: of the members, with shape (K,) or (K, m); None for equal ones.

    Returns:
        PIT and k, both with shape (m,), float64.
    """
    z = (y.double() - seen.double()) / std.double()
    base = z.new_zeros(len(z), 1) if log_weights is None else log_weights.to(z).reshape(len(z), -1)
    log_w, shape = smoothed(base + 0.5 * z**2)
    return (log_w.softmax(0) * torch.special.ndtr(z)).sum(0), shape


def dataset_leave_one_out(post: "xr.Dataset", obs: "xr.Dataset") -> dict[str, dict[str, np.ndarray]]:
    """`leave_one_out_pit` of a posterior as xarray at the sensors that it saw: {variable: {"row", "pit", "k"}}.

    `row` names rows of the table; rows outside the posterior's times are left out.
    """
    post, out = with_time(post), {}
    for name in fields_of(post):
        rows, x, weights = at_sensors(post, name, obs)
        if len(rows):
            value, std = (torch.from_numpy(part[rows]) for part in sensor_values(obs, name, _units(post, name)))
            pit, k = leave_one_out_pit(x.T, value, std, weights.clamp_min(1e-300).log().T)
            out[name] = {"row": np.asarray(rows), "pit": pit.numpy(), "k": k.numpy()}
    return out


def _units(post: "xr.Dataset", name: str) -> str:
    return post[name].attrs.get("units", "")


def smoothed(log_w: Tensor) -> tuple[Tensor, Tensor]:
    """Log-weights whose largest M = min(K / 5, 3 sqrt(K)) are quantiles of the Pareto law fitted to them; and its k.

    Arguments:
        log_w: with shape (K, m); columns are smoothed on their own.
    Returns shapes (K, m) and (m,); k is infinite where there are fewer than 5 such weights.
    """
    count, columns = log_w.shape
    tail = int(min(count / 5, 3 * math.sqrt(count)))
    if tail < 5:
        return log_w, log_w.new_full((columns,), math.inf)
    log_w = log_w - log_w.amax(0)
    values, order = log_w.sort(0)
    cut = values[-tail - 1]
    excess = values[-tail:].exp() - cut.exp()
    k, scale = pareto(excess.clamp_min(torch.finfo(excess.dtype).tiny))
    p = (torch.arange(tail, dtype=log_w.dtype, device=log_w.device)[:, None] + 0.5) / tail
    small = k.abs() < 1e-8
    bent = torch.where(small, -torch.log1p(-p), torch.expm1(-k * torch.log1p(-p)) / torch.where(small, 1, k))
    quantiles = (cut.exp() + scale * bent).log().clamp_max(0)
    values = torch.cat([values[:-tail], quantiles])
    return torch.empty_like(values).scatter(0, order, values), k


def pareto(x: Tensor) -> tuple[Tensor, Tensor]:
    """k and scale of a generalised Pareto law, shapes (m,), for columns of ascending excesses > 0 of shape (M, m).

    An empirical Bayes estimate: theta = -k / scale averaged over a grid with profile-likelihood weights; k is drawn
    towards 1/2 as by ten further observations.
    Source: Zhang and Stephens, Technometrics 51 (2009), with the prior of Vehtari et al. (2024).
    """
    count = len(x)
    grid = 30 + int(math.sqrt(count))
    j = torch.arange(1, grid + 1, dtype=x.dtype, device=x.device)[:, None]
    quartile = x[int(count / 4 + 0.5) - 1]
    theta = 1 / x[-1] + (1 - (grid / (j - 0.5)).sqrt()) / (3 * quartile)
    k = torch.log1p(-theta[:, None] * x).mean(1)
    profile = count * ((-theta / k).log() - k - 1)
    theta = (profile.softmax(0) * theta).sum(0)
    k = torch.log1p(-theta * x).mean(0)
    return (k * count + 5) / (count + 10), -k / theta
