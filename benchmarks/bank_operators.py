"""Forward models of the bank: a solver of ours followed by point sensors, with derivatives as dense matrices.

Methods apply the derivative at one place many times; a dense matrix costs one pass and makes those products free.
"""

import common  # noqa: F401  (finds the package)
import torch
from scipy.linalg import solveh_banded
from torch import Tensor

from sciml_diffusion.observations.operators import LinearOperator, Operator
from sciml_diffusion.physics.burgers import Burgers
from sciml_diffusion.physics.elliptic.darcy import Darcy
from sciml_diffusion.physics.elliptic.flux_form import diagonal, differences
from sciml_diffusion.physics.grid import Grid

BURGERS_POINTS, DARCY_POINTS = 64, 32
LARGEST = 30.0  # of |log a|
CHUNK = 1024  # rows that are differentiated together


class DenseRows(LinearOperator):
    """A matrix for each of N rows: x (N, *event) -> (N, m).

    Arguments:
        matrices: with shape (N, m, d).
        event: with prod(event) = d.
    """

    def __init__(self, matrices: Tensor, event: tuple[int, ...]):
        self.matrices, self.event, self.m = matrices, event, matrices.shape[1]

    def __call__(self, x: Tensor) -> Tensor:
        return torch.einsum("nmd,nd->nm", self.matrices, x.flatten(1))

    def adjoint(self, y: Tensor) -> Tensor:
        return torch.einsum("nmd,nm->nd", self.matrices, y).reshape(-1, *self.event)


class BurgersSensors(Operator):
    """u at some points and frames of a run from u_0: x of shape (N, 1, 1, 64) to (N, frames x sensors).

    Arguments:
        nu: viscosity.
        duration: of the run.
        frames: of 8, evenly up to the end of the run.
        sensors: points.
    """

    event = (1, 1, BURGERS_POINTS)

    def __init__(self, nu: float, duration: float, frames: list[int], sensors: list[int]):
        self.solver = Burgers(Grid.periodic((BURGERS_POINTS,), (1.0,)), nu)
        self.duration, self.frames, self.sensors = duration, frames, sensors
        self.m = len(frames) * len(sensors)
        self.substeps = round(20 * duration)  # in an eighth of the run: stable up to |u| = 3.25, over four deviations

    def __call__(self, x: Tensor) -> Tensor:
        u = self.solver.solve(x[:, 0], self.duration, 9, self.substeps, check=False, checkpoint=False)
        return u[:, 0][:, self.frames][:, :, self.sensors].flatten(1)

    def at(self, x: Tensor) -> tuple[Tensor, DenseRows]:
        """A(x) with shape (N, m), and dA/dx by one backward pass through m copies of each row of x (N, *event)."""
        unit = torch.eye(self.m).to(x).repeat(len(x), 1)
        seen, rows = [], []
        for part, aim in zip(x.detach().repeat_interleave(self.m, 0).split(CHUNK), unit.split(CHUNK), strict=True):
            with torch.enable_grad():
                part.requires_grad_()
                value = self(part)
                rows.append(torch.autograd.grad(value, part, aim)[0])
            seen.append(value.detach())
        matrices = torch.cat(rows).reshape(len(x), self.m, -1)
        return torch.cat(seen)[:: self.m], DenseRows(matrices, self.event)


class DarcySensors(Operator):
    """Pressure at some cells for the permeability exp(x): x of shape (N, 1, 32, 32) to (N, sensors).

    Not a number where |x| > 30, where the equations cannot be solved in double precision.

    Arguments:
        rows, columns: of the sensors' cells.
        source: right-hand side.
        no_flow: axes whose walls let nothing through.
    """

    event = (1, 1, DARCY_POINTS, DARCY_POINTS)

    def __init__(self, rows: list[int], columns: list[int], source: float | Tensor = 1.0, no_flow: tuple = ()):
        self.rows, self.columns, self.m = rows, columns, len(rows)
        self.grid = Grid.cells((DARCY_POINTS, DARCY_POINTS), (1.0, 1.0), ("y", "x"))
        self.solver = Darcy(self.grid, source, no_flow=no_flow)

    def __call__(self, x: Tensor) -> Tensor:
        solvable = (x.flatten(1).abs() <= LARGEST).all(1)
        x = torch.where(solvable.reshape(-1, 1, 1, 1, 1), x, 0.0)
        u = self.solver.solve(x.exp().reshape(-1, 1, *self.grid.sizes), check=False)
        return torch.where(solvable[:, None], u[:, 0][:, self.rows, self.columns], torch.nan)

    def at(self, x: Tensor) -> tuple[Tensor, DenseRows]:
        """A(x) with shape (N, m), and dA/dx: one factorisation for each row, solved for the source and every sensor."""
        solvable = (x.flatten(1).abs() <= LARGEST).all(1)
        x = torch.where(solvable.reshape(-1, 1, 1, 1, 1), x, 0.0)
        faces = self.solver.transmissibilities(x.double().exp().reshape(-1, 1, *self.grid.sizes))
        source = torch.as_tensor(self.solver.source, dtype=torch.float64).expand(1, *self.grid.sizes)
        unit = torch.zeros(self.m, *self.grid.sizes, dtype=torch.float64)
        unit[torch.arange(self.m), self.rows, self.columns] = 1.0
        solved = _banded(faces, torch.cat([source, unit]))
        u, adjoint = solved[:, :1], solved[:, 1:]
        slopes = [(-differences(adjoint, axis) * differences(u, axis)).flatten(0, 1) for axis in (-2, -1)]
        with torch.enable_grad():
            again = x.detach().double().repeat_interleave(self.m, 0).requires_grad_()
            faces = self.solver.transmissibilities(again.exp().reshape(-1, 1, *self.grid.sizes))
            (rows,) = torch.autograd.grad(faces, again, slopes)
        seen = torch.where(solvable[:, None], u[:, 0][:, self.rows, self.columns], torch.nan).to(x)
        return seen, DenseRows(rows.reshape(len(x), self.m, -1).to(x), self.event)


def _banded(faces: tuple[Tensor, ...], right: Tensor) -> Tensor:
    """A(T)^{-1} f for right sides that all rows share, by banded Cholesky: shapes (N, *S), (R, *S) -> (N, R, *S)."""
    (height, width), total = right.shape[1:], diagonal(faces)
    bands = torch.zeros(len(total), width + 1, height * width, dtype=torch.float64)
    bands[:, 0] = total.flatten(1)
    below, beside = (face.clone() for face in faces)
    bands[:, width, : (height - 1) * width] = -below[:, 1:-1].flatten(1)
    beside[:, :, -1] = 0  # the last cell of a line is no neighbour of the first of the next
    bands[:, 1] = -beside[:, :, 1:].flatten(1)
    columns = right.flatten(1).T.numpy()
    solved = [torch.from_numpy(solveh_banded(band.numpy(), columns, lower=True)).T for band in bands]
    return torch.stack(solved).reshape(len(total), *right.shape)
