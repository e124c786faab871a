"""Balances of the atmosphere. Truths: flows in exact balance, approached at order 2; faults of known size."""

import numpy as np
import pytest
import torch
from physics.closed_forms_atmosphere import (
    SURFACE,
    filling_column,
    geostrophic_wave,
    globe,
    overturning,
    places,
    thermal_wind_flow,
)

from sciml_diffusion.physics.air_mass import ColumnMass, PressureContinuity, dry_mass
from sciml_diffusion.physics.atmosphere import (
    GAS_CONSTANT,
    Geostrophic,
    Hydrostatic,
    ThermalWind,
    pressure_levels,
    virtual_temperature,
)
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.residuals.combine import Together, Tolerance
from sciml_diffusion.physics.sphere import EARTH_RADIUS

F64 = torch.float64
FLOW = ("z", "t", "u", "v")


def step(rows: int) -> float:
    return 5e5 / rows


CASES = {  # levels or none, residual of a grid, fields on it
    "geostrophic": (False, Geostrophic, geostrophic_wave),
    "geostrophic on levels": (True, Geostrophic, lambda grid: thermal_wind_flow(grid)[:, [0, 2, 3]]),
    "thermal wind": (True, ThermalWind, lambda grid: thermal_wind_flow(grid)[:, [1, 2, 3]]),
    "hydrostatic": (True, Hydrostatic, lambda grid: thermal_wind_flow(grid)[:, :2]),
    "mass on levels": (True, PressureContinuity, overturning),
    "mass of the column": (
        True,
        lambda grid: ColumnMass(grid, step(grid.sizes[grid.dims.index("latitude")])),
        lambda grid: filling_column(grid, step(grid.sizes[grid.dims.index("latitude")]) * torch.arange(3.0)),
    ),
}
WAYS = [
    {},
    {"north_first": False},
    {"top_first": False},
    {"dims": ("longitude", "latitude", "level"), "north_first": False, "top_first": False},
]


def rms_of(name: str, rows: int, way: dict, faults=lambda x: x) -> float:
    on_levels, build, fields = CASES[name]
    grid = globe(rows, rows // 2 + 1 if on_levels else 0, **way)
    x = fields(grid)
    residual = build(grid).nondimensional(x)
    return float(residual.norm(residual(faults(x)))[residual.component].sqrt())


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_balanced_flows_leave_a_residual_of_order_two(name, way):
    """In any order and direction of the axes: halving all spacings and the time step quarters the residual."""
    sizes = (19, 37, 73) if not way else (19, 37)
    errors = [rms_of(name, rows, way) for rows in sizes]
    assert abs(-np.polyfit(np.log([n - 1 for n in sizes]), np.log(errors), 1)[0] - 2) < 0.2, errors
    assert errors[-1] < 0.02


@pytest.mark.parametrize("name", ["geostrophic", "geostrophic on levels", "thermal wind"])
def test_faults_show_their_size(name):
    """Winds times 1.5 or of the other sign leave 0.5 and 2 times f u; latitudes the wrong way round leave twice f v.

    The scale is the root of two equal terms, so the share of f u is 1 / sqrt(2) of it for each channel that moves.
    """

    def winds(factor):
        def change(x):
            z, wind = x.split([1, 2], 1)
            return torch.cat([z, factor * wind], 1)

        return change

    floor = rms_of(name, 37, {})
    for factor, left in ((1.5, 0.5), (-1.0, 2.0)):
        found = rms_of(name, 37, {}, winds(factor))
        share = 1.0 if name == "geostrophic" else 0.5  # v = 0 in the second flow: half of the channels are silent
        assert abs(found / (left * (share / 2) ** 0.5) - 1) < 0.02
        assert found > 10 * floor
    if name == "geostrophic":  # f and Phi_y turn their signs together, Phi_x does not
        assert abs(rms_of(name, 37, {}, lambda x: x.flip(-2)) - 1) < 0.02


def test_geostrophic_winds_are_those_of_the_potential():
    """At |lat| > 20 the winds of a wave to 2 %; the equator is left out of the residual."""
    grid = globe(73)
    x, residual = geostrophic_wave(grid), Geostrophic(grid)
    rows = residual.rows
    for found, exact in zip(residual.winds(x[:, 0]), (x[:, 1], x[:, 2]), strict=True):
        assert (found - exact)[..., rows, :].abs().max() < 0.02 * exact.abs().max()
    kept = np.abs(np.asarray(grid.coordinates[0])[rows.numpy()])
    assert kept.min() > 20 and kept.max() < 85
    assert residual(x)["geostrophic"].shape == (1, 2, 1, len(rows), 144)


def test_a_part_of_the_globe_has_one_sided_edges():
    """46 to 70 N, 10 W to 30 E, 1 degree, north first: balanced to 1 % although no axis closes."""
    grid = Grid(("latitude", "longitude"), (np.arange(70.0, 45.0, -1.0), np.arange(-10.0, 31.0)), (None, None))
    x = geostrophic_wave(grid)
    residual = Geostrophic(grid).nondimensional(x)
    assert residual.floor(x).rms["geostrophic"] < 0.01


def test_humid_air_is_thicker():
    """q = 0.01 everywhere adds 0.608 q R T ln(p2 / p1) to each layer, exactly; T_v in closed form."""
    grid = globe(9, 5)
    x = thermal_wind_flow(grid)[:, :2]
    humid = torch.cat([x, torch.full_like(x[:, :1], 0.01)], 1)
    dry, wet = Hydrostatic(grid)(x)["hydrostatic"], Hydrostatic(grid, ("z", "t", "q"))(humid)["hydrostatic"]
    mean = (x[:, 1:, :, 1:] + x[:, 1:, :, :-1]) / 2
    assert torch.allclose(dry - wet, 0.00608 * GAS_CONSTANT * mean * np.log(10) / 4, rtol=1e-9)
    assert virtual_temperature(torch.tensor(300.0), torch.tensor(0.01)) == pytest.approx(301.824)


def test_rain_changes_the_mass_of_the_column():
    """Still air whose pressure falls by 2.7e-3 Pa / s is balanced by g (E - P) = -2.7e-3 Pa / s, and not without it."""
    grid = globe(9, 4)
    _, _, logp = places(grid)
    still = torch.zeros_like(logp)
    x = torch.stack([torch.stack([still, still, still + SURFACE - 2.7e-3 * n * 3600]) for n in range(3)], 1)[None]
    residual = ColumnMass(grid, 3600.0)
    assert torch.allclose(residual(x)["mass"], torch.full((1, 1, 2, 1, 7, 16), -2.7e-3, dtype=F64))
    assert residual(x, {"water": -2.7e-3})["mass"].abs().max() < 1e-12
    assert dry_mass(torch.tensor(98066.5, dtype=F64), 25.0) == pytest.approx(9975.0)


def test_columns_end_at_the_surface():
    """Surface at 700 hPa, top at 100: u = U cos(phi) sin(l) spreads as U cos(l) / a times 6e4 Pa, to 1 %."""
    grid = globe(37, 30)
    lat, lon, _ = places(grid)
    u = 10 * lat.cos() * lon.sin()
    x = torch.stack([u, 0 * u, torch.full_like(u, 7e4)])[None, :, None].expand(1, 3, 2, *u.shape)
    residual = ColumnMass(grid, 3600.0)
    exact = (10 * lon.cos() / EARTH_RADIUS * 6e4)[:1, residual.rows]
    assert (residual(x)["mass"][0, 0, 0] - exact).abs().max() < 0.01 * exact.abs().max()


def test_units_are_looked_at():
    """A height for a geopotential, degrees Celsius, hPa for Pa and the reverse are named, on reference data."""
    grid, flat = globe(19, 9), globe(19)
    x, wave = thermal_wind_flow(grid), geostrophic_wave(flat)
    height, celsius = x.clone(), x.clone()
    height[:, 0] /= 9.80665
    celsius[:, 1] -= 273.15
    with pytest.raises(ValueError, match="multiply a height"):
        Hydrostatic(grid).floor(height[:, :2])
    with pytest.raises(ValueError, match="multiply a height"):
        Geostrophic(flat).floor(torch.cat([wave[:, :1] / 9.80665, wave[:, 1:]], 1))
    with pytest.raises(ValueError, match="kelvin"):
        Hydrostatic(grid).floor(celsius[:, :2])
    with pytest.raises(ValueError, match="kelvin"):
        ThermalWind(grid).floor(celsius[:, 1:])
    with pytest.raises(ValueError, match="in Pa"):
        column = filling_column(grid, torch.arange(2.0))
        column[:, 2] /= 100
        ColumnMass(grid, 1.0).floor(column)
    with pytest.raises(ValueError, match="no pressures in Pa"):
        Hydrostatic(grid, units="Pa")
    in_pascal = Grid(grid.dims, (grid.coordinates[0] * 100, *grid.coordinates[1:]), grid.periods)
    with pytest.raises(ValueError, match="no pressures in hPa"):
        Hydrostatic(in_pascal)
    assert np.allclose(pressure_levels(in_pascal, "Pa"), pressure_levels(grid))
    assert torch.allclose(
        Hydrostatic(in_pascal, units="Pa")(x[:, :2])["hydrostatic"], Hydrostatic(grid)(x[:, :2])["hydrostatic"]
    )


def test_what_a_balance_needs_is_asked_for():
    with pytest.raises(ValueError, match="needs the axis 'level'"):
        ThermalWind(globe(19))
    tropics = Grid(("latitude", "longitude"), (np.linspace(-10, 10, 9), np.arange(8.0)), (None, None))
    with pytest.raises(ValueError, match="no latitude lies at 20"):
        Geostrophic(tropics)
    with pytest.raises(ValueError, match="at least 2 frames"):
        ColumnMass(globe(19, 5), 1.0)(overturning(globe(19, 5)))


def test_several_balances_as_one_soft_loss():
    """All balances at once: what the data themselves leave is not penalised, a wrong wind is, with gradients."""
    grid = globe(19, 9)
    x = thermal_wind_flow(grid)
    balances = Together(FLOW, {"wind": Geostrophic(grid), "shear": ThermalWind(grid), "layers": Hydrostatic(grid)})
    balances = balances.nondimensional(x)
    soft = Tolerance(balances, balances.floor(x))
    wrong = x.clone()
    wrong[:, 2] *= 1.5
    wrong.requires_grad_()
    assert soft.loss(x) < 1e-3 < 0.05 < soft.loss(wrong)
    (gradient,) = torch.autograd.grad(soft.loss(wrong).sum(), wrong)
    assert gradient[:, 2].abs().max() > 0 and gradient.isfinite().all()
    assert set(balances.floor(x).rms) == {"wind geostrophic", "shear thermal wind", "layers hydrostatic"}
