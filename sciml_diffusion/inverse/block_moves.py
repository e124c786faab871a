"""Block moves on the path: unweighted ensembles where the weights of whole paths are hopeless."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..observations.observation import Observation
from ..samplers.streams import MemberStreams
from .base import PosteriorMethod
from .surrogate_path import State, SurrogatePath


class BlockMoves(PosteriorMethod):
    """Markov chains on the noises of a path of `GaussianSurrogateSMC`, one spatial block at a time.

    The proposal's noises Z are N(0, I) a priori and the path's weight is W(Z), so the target is N(Z; 0, I) W(Z). A move
    refreshes the noises of one block at all levels, Z_b' = rho Z_b + sqrt(1 - rho^2) xi, and is accepted with
    probability min(1, W' / W). Where a surrogate is wrong by e the variance of log W is about 0.4 m e^2 for m sensors:
    weights of whole paths die of it, a move meets only the sensors near its block. Each member is a chain of its own:
    no weights, no resampling, and no member knows of another. Fields are cut into blocks along every axis but the
    first (channels), in every other sweep half a block further; a sensor belongs to the block that it sees most.

    Cost of a move: a path, n network calls (and n q backward passes); a sweep has as many moves as there are blocks.

    Source: pCN moves: Cotter, Roberts, Stuart and White, MCMC methods for functions, Statist. Sci. 28 (2013);
    their use on the noises of a twisted diffusion path is this package's own.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        blocks: along each axis, >= 1.
        sweeps: through all blocks, >= 1.
        rho: share of the old noise, in [0, 1); 0 draws the block anew.
        rank: most directions q of a member's own covariance; see `GaussianSurrogateSMC`.

    Raises:
        ValueError: where an argument is out of its range.
    """

    def __init__(self, sigmas: Tensor, blocks: int = 4, sweeps: int = 20, rho: float = 0.0, rank: int = 0):
        super().__init__(sigmas)
        if blocks < 1 or sweeps < 1 or rank < 0 or not 0 <= rho < 1:
            raise ValueError(
                "block moves need blocks >= 1, sweeps >= 1, rank >= 0 and 0 <= rho < 1; "
                f"got {blocks}, {sweeps}, {rank} and {rho}"
            )
        self.blocks, self.sweeps, self.rho, self.rank = blocks, sweeps, rho, rank

    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, None, dict]:
        """Members of shape (B K, *event), no weights; diagnostics `acceptance` and `log_weight_variance`, (B,).

        The variance is that of log W over the members before the first move: what weights would have had to bear.
        """
        path = SurrogatePath(denoiser, observation, streams, self.rank, keep=True)
        levels, event = [sigma for _, sigma in self.levels(streams)[:-1]], tuple(denoiser.event)
        noise = PathNoise(streams, len(levels), event, observation.operator.m)
        log_w, windows, accepted = _walk(path, levels, noise)[1], len(observation.y), 0.0
        variance = log_w.reshape(windows, -1).var(1)
        moves = self._moves(event, observation.operator.rows(streams.dtype, streams.device))
        for n, (cells, sensors) in enumerate(moves):
            old = noise.move(cells, sensors, self.rho, streams)
            proposed = _walk(path, levels, noise)[1]
            accept = streams.uniform(()).double().log() < proposed - log_w
            noise.restore(cells, sensors, old, ~accept)
            log_w, accepted = torch.where(accept, proposed, log_w), accepted + accept.double()
            before, now = n * len(levels) // len(moves), (n + 1) * len(levels) // len(moves)
            for done in range(before, now):
                callback(done + 1)
        state = _walk(path, levels, noise)[0]
        x = path.finish(state, *path.noise(streams)[:2])
        acceptance = (accepted / len(moves)).reshape(windows, -1).mean(1)
        return x, None, {"acceptance": acceptance, "log_weight_variance": variance}

    def _moves(self, event: tuple[int, ...], rows: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Cells and sensors of every move, in their order; rows (m, *event) are those of A."""
        sweeps = [_parts(block_labels(event, self.blocks, shifted).to(rows.device), rows) for shifted in (False, True)]
        return [move for n in range(self.sweeps) for move in sweeps[n % 2]]


class PathNoise:
    """The white noises of a path: z and xi in space, with shape (levels, N, n), and eps, (levels, N, m).

    Arguments:
        streams: of the run.
        levels: of the path.
        event: shape of x.
        m: number of sensors.
    """

    def __init__(self, streams: MemberStreams, levels: int, event: tuple[int, ...], m: int):
        self.event, n = event, math.prod(event)
        self.z, self.eps, self.xi = (streams.normal((levels, k)).movedim(1, 0).contiguous() for k in (n, m, n))

    def level(self, n: int, basis) -> tuple[Tensor, Tensor, Tensor]:
        """The noises of one level, z as coefficients (N, *coefficients): `SurrogatePath.advance` takes them."""
        return basis(self.z[n].reshape(-1, *self.event)), self.eps[n], self.xi[n].reshape(-1, *self.event)

    def move(self, cells: Tensor, sensors: Tensor, rho: float, streams: MemberStreams) -> tuple[Tensor, ...]:
        """Refreshes the noises of some cells (c,) and sensors (s,) in place; returns the old ones."""
        places = ((self.z, cells), (self.eps, sensors), (self.xi, cells))
        old = tuple(noise[..., where] for noise, where in places)
        for (noise, where), part in zip(places, old, strict=True):
            fresh = streams.normal((len(noise), len(where))).movedim(1, 0)
            noise[..., where] = rho * part + math.sqrt(1 - rho**2) * fresh
        return old

    def restore(self, cells: Tensor, sensors: Tensor, old: tuple[Tensor, ...], rows: Tensor) -> None:
        """Puts the old noises back for some rows, a mask of shape (N,)."""
        for (noise, where), part in zip(((self.z, cells), (self.eps, sensors), (self.xi, cells)), old, strict=True):
            noise[..., where] = torch.where(rows[:, None], part, noise[..., where])


def block_labels(event: tuple[int, ...], blocks: int, shifted: bool) -> Tensor:
    """The block of each cell of a flattened event, with shape (n,): `blocks` parts of every axis after the first.

    An event of one axis is cut along it. `shifted` moves the cuts by half a block; what leaves on one side comes back
    on the other.
    """
    axes = event[1:] if len(event) > 1 else event
    label = torch.zeros(1, dtype=torch.int64)
    for length in axes:
        parts = min(blocks, length)
        place = (torch.arange(length) * parts) // length
        if shifted:
            place = place.roll(length // (2 * parts))
        label = (label[:, None] * parts + place).flatten()
    return label.repeat(event[0] if len(event) > 1 else 1)


def _parts(label: Tensor, rows: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Cells and sensors of each block; rows (m, *event) say what each sensor sees."""
    count = int(label.max()) + 1
    seen = torch.zeros(len(rows), count, dtype=rows.dtype, device=rows.device)
    home = seen.index_add(1, label, rows.flatten(1).abs()).argmax(1)
    return [((label == b).nonzero()[:, 0], (home == b).nonzero()[:, 0]) for b in range(count)]


def _walk(path: SurrogatePath, levels: list[Tensor], noise: PathNoise) -> tuple[State, Tensor]:
    """The last state of the path that the noises make, and log W, float64, with shape (N,); -inf where it is lost."""
    state, _ = path.start()
    log_w = torch.zeros(path.rows, dtype=torch.float64, device=noise.z.device)
    for n, sigma in enumerate(levels):
        state, gain = path.advance(state, n + 1, sigma, noise.level(n, path.basis))
        log_w = log_w + gain
    return state, log_w.nan_to_num(nan=-torch.inf, posinf=-torch.inf)
