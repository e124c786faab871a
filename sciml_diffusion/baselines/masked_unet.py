"""A U-Net trained to fill in fields from masked ones: the regression that a reconstruction has to beat."""

from collections.abc import Callable, Sequence
from math import cos, pi

import torch
from torch import Tensor

from ..denoisers.backbones.unet import UNet
from ..ensemble import WeightedEnsemble
from ..samplers.streams import MemberStreams

HELD_OUT = 64  # windows on which the spread is measured


class MaskedUNet:
    """E[x_asked | m random points of x_seen + noise] by least squares, with the spread of its errors.

    The input is (mask y, mask), zero where nothing is observed, and the position as cosines and sines of one period of
    each axis, so that a network of convolutions can know where a steady forcing acts. Training takes new points, noise
    and symmetries for every window of every batch; the output is compared with all of x_asked. Members add independent
    noise of the standard deviation that errors on held-out windows have in each cell and channel: right point by point,
    without correlation.

    Arguments:
        network: (N, 6, H, W) -> (N, asked channels, H, W).
        seen: channel of the events that is observed.
        asked: channels that are estimated.
        spread: standard deviation of the errors, with shape (asked channels, H, W).
    """

    def __init__(self, network: UNet, seen: int, asked: Sequence[int], spread: Tensor):
        self.network, self.seen, self.asked, self.spread = network, seen, list(asked), spread

    @classmethod
    def fit(
        cls,
        x: Tensor,
        points: tuple[int, int, Sequence[int]],
        noise: float,
        steps: int,
        seed: int = 0,
        augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
        network: dict | None = None,
    ) -> "MaskedUNet":
        """Trains with Adam on batches of 16 and a rate of 2e-3 that falls to 0 as a cosine.

        Arguments:
            x: standardised training windows, with shape (N, C, H, W), N > 64: the last 64 measure the spread alone.
            points: number m of observed points, the channel they are in, and the channels asked for.
            noise: standard deviation of the observations, in the units of x.
            steps: of the optimiser.
            seed: of weights, batches, points and noise.
            augment: symmetries of the law, (N, C, H, W) -> the same, see `training.augment`.
            network: arguments of `UNet` over width 24, multipliers (1, 2, 2), patch 2.

        Raises:
            ValueError: too few windows, or more points than a channel has.
        """
        sensors, seen, asked = points
        if len(x) <= HELD_OUT or not 0 < sensors <= x[0, 0].numel():
            raise ValueError(
                f"training needs more than {HELD_OUT} windows, and 1 to {x[0, 0].numel()} sensors; got {len(x)} "
                f"windows and {sensors} sensors"
            )
        g, asked = torch.Generator().manual_seed(seed), list(asked)
        unet = UNet(6, len(asked), **({"width": 24, "patch": 2} | (network or {})))
        unet.initialise(g)
        model = cls(unet, seen, asked, torch.zeros(len(asked), *x.shape[2:]))
        train, held, x = x[:-HELD_OUT], x[-HELD_OUT:], None
        optimiser = torch.optim.Adam(unet.parameters(), lr=2e-3, betas=(0.9, 0.99))
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = 2e-3 * min(1.0, (step + 1) / 50) * 0.5 * (1 + cos(pi * step / steps))
            batch = train[torch.randint(len(train), (16,), generator=g)]
            batch = batch if augment is None else augment(batch, g)
            with torch.enable_grad():
                loss = (model._guess(*_masked(batch[:, seen], sensors, noise, g)) - batch[:, asked]).square().mean()
                optimiser.zero_grad()
                loss.backward()
            optimiser.step()
        with torch.no_grad():
            errors = model._guess(*_masked(held[:, seen], sensors, noise, g)) - held[:, asked]
        model.spread = errors.square().mean(0).sqrt()
        return model

    @torch.no_grad()
    def mean(self, y: Tensor, index: Tensor) -> Tensor:
        """The estimate for each window, with shape (B, asked channels, H, W).

        Arguments:
            y: observations, with shape (B, m), standardised as the training windows.
            index: their places in the flattened channel, with shape (m,).
        """
        mask = torch.zeros(self.spread[0].numel())
        mask[index] = 1.0
        values = torch.zeros(len(y), len(mask)).index_copy_(1, index, y.float())
        shape = (len(y), *self.spread.shape[1:])
        return self._guess(values.reshape(shape), mask.expand(len(y), -1).reshape(shape))

    def posterior(self, y: Tensor, index: Tensor, streams: MemberStreams) -> WeightedEnsemble:
        """K members for each window, with shape (B, K, asked channels, H, W), unweighted.

        Arguments:
            y, index: as in `mean`.
            streams: B K rows, members within windows.
        """
        noise = self.spread * streams.normal(self.spread.shape)
        x = self.mean(y, index)[:, None] + noise.reshape(len(y), -1, *self.spread.shape)
        return WeightedEnsemble(x, x.new_zeros(x.shape[:2]))

    def _guess(self, values: Tensor, mask: Tensor) -> Tensor:
        place = _positions(values.shape[1:]).to(values).expand(len(values), -1, -1, -1)
        return self.network(torch.cat([values[:, None], mask[:, None], place], 1), values.new_zeros(len(values)))


def _positions(sizes: Sequence[int]) -> Tensor:
    """cos and sin of 2 pi y / H and of 2 pi x / W, with shape (4, H, W)."""
    axes = torch.meshgrid(*(2 * pi * torch.arange(n) / n for n in sizes), indexing="ij")
    return torch.cat([torch.stack([a.cos(), a.sin()]) for a in axes])


def _masked(x: Tensor, sensors: int, noise: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Noisy values at random points of fields (N, H, W), zero elsewhere, and the mask, both with shape (N, H, W)."""
    order = torch.rand(len(x), x[0].numel(), generator=generator).argsort(1)
    mask = (order < sensors).to(x).reshape(x.shape)
    return mask * (x + noise * torch.randn(x.shape, generator=generator, dtype=x.dtype)), mask
