"""A compact 2-D U-Net whose paddings know each axis: it closes on itself, reflects, or ends in zeros."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BOUNDARIES = ("periodic", "reflect", "zero")
FREQUENCIES = 16  # of the noise embedding


class UNet(nn.Module):
    """Residual U-Net (N, C_in, H, W), c_noise (N,) -> (N, C_out, H, W).

    Blocks of GroupNorm, SiLU and 3 x 3 convolutions; the noise level enters as a scale and shift after each block's
    second norm; the last layer starts at 0. Sizes that `patch` and the levels do not divide are padded by the rule of
    the axis and cropped back.

    Source: Dhariwal and Nichol, 2021 (adaptive norm); Shi et al., 2016 (pixel shuffle).

    Arguments:
        in_channels, out_channels: C_in and C_out.
        width: channels of the first level.
        multipliers: channels of each level over `width`; each further level has half the resolution.
        blocks: residual blocks of each level, on the way down and again on the way up.
        boundary: for the axes H and W: "periodic", "reflect" or "zero".
        patch: size of the patches that become the channels of one pixel of the first level.
        attention: self-attention at the lowest level.

    Raises:
        ValueError: where the boundary is unknown or a size is not positive.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int = 32,
        multipliers: Sequence[int] = (1, 2, 2),
        blocks: int = 1,
        boundary: Sequence[str] = ("zero", "zero"),
        patch: int = 1,
        attention: bool = True,
    ):
        super().__init__()
        if len(boundary) != 2 or not set(boundary) <= set(BOUNDARIES):
            raise ValueError(
                f"boundary must be one of {BOUNDARIES} for each of the axes H and W; got {tuple(boundary)}"
            )
        if min(in_channels, out_channels, width, blocks, patch, *multipliers) < 1:
            raise ValueError("in_channels, out_channels, width, multipliers, blocks and patch must be at least 1")
        self.arguments = {
            "in_channels": in_channels, "out_channels": out_channels, "width": width, "multipliers": list(multipliers),
            "blocks": blocks, "boundary": list(boundary), "patch": patch, "attention": attention,
        }  # fmt: skip
        self.boundary, self.patch, self.factor = tuple(boundary), patch, patch * 2 ** (len(multipliers) - 1)
        widths, noise = [width * m for m in multipliers], 4 * width
        scales = 2 * math.pi * torch.logspace(-2, 3, FREQUENCIES, base=2)
        self.register_buffer("frequencies", scales, persistent=False)
        self.embed = nn.Sequential(nn.Linear(2 * FREQUENCIES, noise), nn.SiLU(), nn.Linear(noise, noise), nn.SiLU())
        self.stem = Conv(in_channels * patch**2, widths[0], boundary)

        def stage(width_in: int, width_out: int) -> nn.ModuleList:
            return nn.ModuleList(
                Block(width_in if i == 0 else width_out, width_out, noise, boundary) for i in range(blocks)
            )

        self.down = nn.ModuleList(stage(w, w) for w in widths)
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.attend = Attention(widths[-1]) if attention else nn.Identity()
        self.middle = Block(widths[-1], widths[-1], noise, boundary)
        self.grow = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in pairwise(widths))
        self.up = nn.ModuleList(stage(2 * w, w) for w in widths[:-1])
        self.norm = nn.GroupNorm(_groups(widths[0]), widths[0])
        self.last = Conv(widths[0], out_channels * patch**2, boundary)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Draws all weights anew from a generator: uniform in +-1 / sqrt(fan-in), but layers that are 0 stay 0."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                bound = float(layer.weight.any()) / math.sqrt(layer.weight[0].numel())
                for parameter in (layer.weight, layer.bias):
                    parameter.uniform_(-bound, bound, generator=generator)

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        """Returns the output image, with shape (N, C_out, H, W).

        Arguments:
            x: shape (N, C_in, H, W).
            c_noise: a function of the noise level of order 1, such as ln(sigma) / 4; shape (N,).
        """
        height, width = x.shape[-2:]
        phases = c_noise[:, None] * self.frequencies.to(c_noise)
        embedding = self.embed(torch.cat([phases.sin(), phases.cos()], 1))
        for axis, size, rule in ((2, height, self.boundary[0]), (3, width, self.boundary[1])):
            x = _extend(x, axis, -size % self.factor, rule)
        h = self.stem(F.pixel_unshuffle(x, self.patch) if self.patch > 1 else x)
        skips = []
        for level, stage in enumerate(self.down):
            for block in stage:
                h = block(h, embedding)
            if level < len(self.shrink):
                skips.append(h)
                h = self.shrink[level](h)
        h = self.middle(self.attend(h), embedding)
        for level in reversed(range(len(self.up))):
            h = torch.cat([F.pixel_shuffle(self.grow[level](h), 2), skips.pop()], 1)
            for block in self.up[level]:
                h = block(h, embedding)
        out = self.last(F.silu(self.norm(h)))
        out = F.pixel_shuffle(out, self.patch) if self.patch > 1 else out
        return out[..., :height, :width]


class Conv(nn.Conv2d):
    """3 x 3 convolution, each axis padded by its own rule; shape (N, C_in, H, W) -> (N, C_out, H, W).

    Arguments:
        in_channels, out_channels: C_in and C_out.
        boundary: the rules of the axes H and W.
    """

    def __init__(self, in_channels: int, out_channels: int, boundary: Sequence[str]):
        super().__init__(in_channels, out_channels, 3, padding=tuple(int(rule == "zero") for rule in boundary))
        self.boundary = tuple(boundary)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, C_in, H, W) -> (N, C_out, H, W)."""
        for axis, rule in zip((2, 3), self.boundary, strict=True):
            if rule != "zero":
                n, inner = x.shape[axis], int(rule == "reflect" and x.shape[axis] > 1)
                before = x.narrow(axis, inner if rule == "reflect" else n - 1, 1)
                after = x.narrow(axis, n - 1 - inner if rule == "reflect" else 0, 1)
                x = torch.cat([before, x, after], axis)
        return super().forward(x)


class Block(nn.Module):
    """Residual block: h = conv(silu(norm x)), out = skip(x) + conv(silu(scale norm(h) + shift)).

    Arguments:
        in_channels, out_channels: shape (N, C_in, H, W) -> (N, C_out, H, W).
        noise: length of the embedding of the noise level.
        boundary: the rules of the axes H and W.
    """

    def __init__(self, in_channels: int, out_channels: int, noise: int, boundary: Sequence[str]):
        super().__init__()
        self.norm_1 = nn.GroupNorm(_groups(in_channels), in_channels)
        self.conv_1 = Conv(in_channels, out_channels, boundary)
        self.modulate = nn.Linear(noise, 2 * out_channels)
        self.norm_2 = nn.GroupNorm(_groups(out_channels), out_channels)
        self.conv_2 = Conv(out_channels, out_channels, boundary)
        self.skip = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)
        nn.init.zeros_(self.conv_2.weight)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """x (N, C_in, H, W), embedding (N, noise) -> shape (N, C_out, H, W)."""
        scale, shift = self.modulate(embedding)[..., None, None].chunk(2, 1)
        h = self.conv_1(F.silu(self.norm_1(x)))
        h = self.conv_2(F.silu(torch.addcmul(shift, self.norm_2(h), 1 + scale)))
        return self.skip(x) + h


class Attention(nn.Module):
    """Self-attention over all pixels, added to its input; shape (N, C, H, W) -> (N, C, H, W).

    Arguments:
        channels: C; heads have 32 channels where that divides C.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.heads = max(1, channels // 32) if channels % 32 == 0 else 1
        self.norm = nn.GroupNorm(_groups(channels), channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, C, H, W) -> (N, C, H, W)."""
        q, k, v = (t.unflatten(1, (self.heads, -1)).flatten(3).mT for t in self.qkv(self.norm(x)).chunk(3, 1))
        h = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(h.mT.flatten(1, 2).unflatten(2, x.shape[2:]))


def _extend(x: Tensor, axis: int, extra: int, rule: str) -> Tensor:
    """Adds `extra` pixels at the end of one axis by its rule; shape (N, C, H, W) -> the same with a longer axis."""
    if extra == 0:
        return x
    size = x.shape[axis]
    places = torch.arange(size, size + extra, device=x.device)
    if rule == "zero":
        return torch.cat([x, torch.zeros_like(x.index_select(axis, places * 0))], axis)
    if rule == "periodic":
        return torch.cat([x, x.index_select(axis, places % size)], axis)
    period = max(2 * size - 2, 1)
    return torch.cat([x, x.index_select(axis, size - 1 - ((places % period) - (size - 1)).abs())], axis)


def _groups(channels: int) -> int:
    """Groups of a norm: of 8 channels or more, at most 32."""
    return next(g for g in range(min(32, max(1, channels // 8)), 0, -1) if channels % g == 0)
