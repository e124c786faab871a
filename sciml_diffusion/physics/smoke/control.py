"""A control in the rim: a force or a velocity that is held between frames."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .faces import Velocity, to_faces
from .scene import Scene

KINDS = ("force", "velocity")


@dataclass(frozen=True, eq=False)
class Control:
    """Values c_k held on [k interval, (k + 1) interval), applied in the rim of a scene only.

    Arguments:
        values: along y and x, at cell centres, with shape (B | 1, 2, F, Y, X); a tensor that needs gradients gets them.
        interval: time between frames, > 0.
        kind: "force", an acceleration; or "velocity", which the air of the rim is given before each projection (the
            control of WDNO).

    Raises:
        ValueError: where the shape, the interval or the kind is none of these.
    """

    values: Tensor
    interval: float
    kind: str = "force"

    def __post_init__(self):
        if self.values.ndim != 5 or self.values.shape[1] != 2 or not self.interval > 0 or self.kind not in KINDS:
            raise ValueError(
                f"a control needs values of shape (B | 1, 2, F, Y, X), an interval > 0 and a kind among {KINDS}; got "
                f"{tuple(self.values.shape)}, {self.interval} and {self.kind!r}"
            )

    def at(self, time: float, scene: Scene) -> Tensor:
        """Values at a time, zero outside the rim: shape (B | 1, 2, Y, X).

        Raises:
            ValueError: where the control ends before that time, or does not lie on the scene's cells.
        """
        frame, count = int(time / self.interval + 1e-6), self.values.shape[2]
        if frame >= count or tuple(self.values.shape[-2:]) != scene.sizes:
            raise ValueError(
                f"the control has {count} frames of {self.interval:g} on {tuple(self.values.shape[-2:])} cells; "
                f"time {time:g} on {scene.sizes} cells was asked for"
            )
        return self.values[:, :, frame] * scene.rim_like(self.values)

    def bound(self) -> float:
        """Largest absolute value."""
        return float(self.values.detach().abs().max()) if self.values.numel() else 0.0

    def broadcast(self, batch: int) -> bool:
        """Whether the control fits a number of samples."""
        return self.values.shape[0] in (1, batch)


def set_in_rim(velocity: Velocity, values: Tensor, scene: Scene) -> Velocity:
    """A velocity whose faces at cells of the rim have the mean of the rim's values: faces (v, u), shapes kept.

    Arguments:
        velocity: faces (v, u), with shapes (B, Y + 1, X) and (B, Y, X + 1).
        values: along y and x at cell centres, 0 outside the rim, with shape (B | 1, 2, Y, X).
        scene: has the rim.
    """
    rim = scene.rim_like(values)[None]
    means, shares = to_faces(values[:, 0], values[:, 1]), to_faces(rim, rim)  # a share is 0, 1/2 or 1
    faces = zip(velocity, means, shares, strict=True)
    return tuple(torch.where(share > 0, mean / share.clamp_min(0.5), q) for q, mean, share in faces)
