"""Parameters with one value for each sample: their number is that of the initial fields, or one, in every solver.

Truth: the sample solved on its own, with its own parameter.
"""

import pytest
import torch

from sciml_diffusion.physics.burgers import Burgers
from sciml_diffusion.physics.finite_volume.advection import FiniteVolumeAdvection
from sciml_diffusion.physics.finite_volume.burgers import FiniteVolumeBurgers
from sciml_diffusion.physics.finite_volume.compressible import Compressible
from sciml_diffusion.physics.finite_volume.forced_burgers import ForcedBurgers, interior_grid
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.shallow_water import ShallowWater
from sciml_diffusion.physics.smoke.scene import Scene
from sciml_diffusion.physics.smoke.solver import Smoke
from sciml_diffusion.physics.tracer import Tracer

F64 = torch.float64
LINE, PLANE = Grid.periodic((16,), (1.0,)), Grid.periodic((8, 8), (1.0, 1.0), ("y", "x"))
INNER, BOX = interior_grid(15), Scene(torch.zeros(8, 8, dtype=torch.bool), (1.0, 1.0))
WIND = torch.ones(1, 2, 8, 8, dtype=F64)


def each(p: torch.Tensor, *axes: int) -> torch.Tensor:
    """The parameter p, of shape (B,), with axes behind it."""
    return p.reshape(-1, *(1,) * len(axes)).expand(-1, *axes)


# Each: a solver made with a parameter of shape (B,), near 0.1.
CASES = {
    "burgers": lambda p: Burgers(LINE, p),
    "fv-advection": lambda p: FiniteVolumeAdvection(LINE, p),
    "fv-burgers": lambda p: FiniteVolumeBurgers(LINE, p),
    "compressible-eta": lambda p: Compressible(LINE, eta=p),
    "compressible-zeta": lambda p: Compressible(LINE, zeta=p),
    "forced-nu": lambda p: ForcedBurgers(INNER, p),
    "forced-control": lambda p: ForcedBurgers(INNER, 0.1, each(p, 1, 15)),
    "shallow-f0": lambda p: ShallowWater(PLANE, 1.0, f0=p),
    "shallow-drag": lambda p: ShallowWater(PLANE, 1.0, drag=p),
    "shallow-topography": lambda p: ShallowWater(PLANE, 1.0, topography=each(p, 8, 8)),
    "tracer-diffusivity": lambda p: Tracer(PLANE, WIND, p),
    "tracer-decay-map": lambda p: Tracer(PLANE, WIND, decay=each(p, 8, 8)),
    "tracer-source": lambda p: Tracer(PLANE, WIND, source=each(p, 8, 8)),
    "tracer-source-in-time": lambda p: Tracer(PLANE, WIND, source=lambda time: time * each(p, 8, 8)),
    "tracer-wind": lambda p: Tracer(PLANE, each(p, 2, 8, 8)),
    "smoke": lambda p: Smoke(BOX, buoyancy=p),
}
LAST = 0.05  # time; 16 substeps are stable in all of them


def initial(solver, samples: int) -> torch.Tensor:
    """Positive, smooth fields, without flow through walls; shape (B, C, *S)."""
    shape = solver.grid.sizes
    phase = 2 * torch.pi * torch.arange(shape[-1], dtype=F64) / shape[-1]
    sizes = 1.5 + 0.1 * torch.arange(samples, dtype=F64)
    return (sizes[:, None] + 0.3 * phase.sin()).reshape(samples, 1, *(1,) * (len(shape) - 1), -1).expand(
        -1, len(solver.fields), *shape
    )  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("values", "samples"), [(3, 1), (2, 3)])
def test_another_number_of_samples_is_refused(name, values, samples):
    solver = CASES[name](torch.full((values,), 0.1, dtype=F64))
    with pytest.raises(ValueError, match=f"has parameters for {values} samples; got {samples} initial fields"):
        solver.solve(initial(solver, samples), LAST, 2, 16)


@pytest.mark.parametrize("name", CASES)
def test_each_sample_has_its_own(name):
    """Rounding of sums in another order, near 1e-15 a step, for fields of size 1."""
    p = torch.tensor([0.05, 0.1, 0.15], dtype=F64)
    solver = CASES[name](p)
    u0 = initial(solver, 3)
    together = solver.solve(u0, LAST, 2, 16)
    alone = torch.cat([CASES[name](p[i : i + 1]).solve(u0[i : i + 1], LAST, 2, 16) for i in range(3)])
    assert (together - alone).abs().max() < 1e-12
    assert not torch.equal(together[0], together[2])
