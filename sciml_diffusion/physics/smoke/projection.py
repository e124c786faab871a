"""The divergence-free part of a velocity that crosses no wall."""

from torch import Tensor

from ..constants import Constants
from .faces import Velocity, divergence, gradient
from .iterative import IterativePoisson
from .pressure import BoxPoisson, CapacitancePoisson, closed_faces
from .scene import Scene

DENSE = 3000  # faces closed by walls up to which one dense matrix (72 MB in float64) is made


class Projection:
    """P w = w - c grad phi with div(c grad phi) = div w, after the faces on walls have been set to zero.

    Linear, symmetric and idempotent in the sum over faces (those on open sides counted half). The way to solve is
    chosen by the scene: exact by eigenvectors in an empty box, exact with one dense matrix where obstacles close at
    most 3000 faces, conjugate gradients (1e-12; 1e-5 in float32) beyond. Source: Chorin, Math. Comp. 22 (1968).

    Arguments:
        scene: cells and walls; what is prepared here serves every later call.
        solve: another way to invert -div(c grad), shape (B, Y, X) kept.
    """

    def __init__(self, scene: Scene, solve=None):
        self.scene, self._masks = scene, Constants(*scene.openness())
        closed = len(closed_faces(scene)[0])
        if solve is not None:
            self.solve = solve
        elif closed == 0:
            self.solve = BoxPoisson(scene.sizes, scene.spacings, scene.open_sides)
        else:
            self.solve = CapacitancePoisson(scene) if closed <= DENSE else IterativePoisson(scene)

    def __call__(self, velocity: Velocity) -> Velocity:
        """Faces (v, u), with shapes (B, Y + 1, X) and (B, Y, X + 1), both kept."""
        masks = self.masks(velocity[0])
        w = tuple(part * mask for part, mask in zip(velocity, masks, strict=True))
        phi = self.solve(-divergence(w, self.scene.spacings))
        slopes = gradient(phi, self.scene.spacings)
        return tuple(part - mask * g for part, mask, g in zip(w, masks, slopes, strict=True))

    def masks(self, like: Tensor) -> Velocity:
        """Openness of the faces, 1 or 0, in the dtype and on the device of a tensor of any shape."""
        return self._masks.like(like)
