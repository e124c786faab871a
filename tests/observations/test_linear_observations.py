"""Averages, footprints, spectra, subsamples and stacks. Truths: numpy on dense fields, Parseval, products of densities.

The dot products of all linear operators are tested by their rows in tests/registry.py.
"""

import numpy as np
import pytest
import torch
from analytic import F64
from registry import OPERATORS

from sciml_diffusion.observations.averages import Averages, beam_weights, cell_areas, distances, region_weights
from sciml_diffusion.observations.noise import Correlated, Gaussian
from sciml_diffusion.observations.noise_laws import Mixed, Poisson, StudentT
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Matrix
from sciml_diffusion.observations.spectral import SpectralBand, band, energetic
from sciml_diffusion.observations.stacked import stack, stack_operators
from sciml_diffusion.observations.subsampling import block_means, every_nth
from sciml_diffusion.physics.grid import Grid

SPHERE = Grid(("latitude", "longitude"), (np.linspace(60.0, 48.0, 13), np.linspace(350.0, 362.0, 13)), (None, None))
TORUS = Grid.periodic((8, 6), (2.0, 3.0), ("y", "x"))
TORUS_EVENT = (2, 3, 8, 6)


def draw(seed, *shape):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def test_areas_of_a_latitude_band():
    area = cell_areas(SPHERE)
    edge = np.radians(SPHERE.coordinates[0][[0, -1]] + [0.5, -0.5])
    share = (np.sin(np.radians(60.5)) - np.sin(np.radians(59.5))) / (np.sin(edge[0]) - np.sin(edge[1]))
    assert float(area[0].sum() / area.sum()) == pytest.approx(share, rel=1e-12)
    uneven = Grid(("x",), (np.array([0.0, 1.0, 4.0]),), (5.0,))
    assert cell_areas(uneven).tolist() == pytest.approx([0.6, 1.2, 1.2])  # from midpoints, the last through the end


def test_region_is_the_area_weighted_mean():
    weights = region_weights(SPHERE, {"latitude": (50.0, 53.0), "longitude": (-10.0, -6.0)})
    field = draw(0, 13, 13)
    rows, columns = slice(7, 11), slice(0, 5)  # 53 to 50 north, 350 to 354 east
    area = np.cos(np.radians(SPHERE.coordinates[0][rows]))[:, None]
    truth = (area * field[rows, columns].numpy()).sum() / (area.sum() * 5)
    # bands by cos(latitude) are those of the sine's differences up to a common factor
    assert float((weights * field).sum()) == pytest.approx(truth, rel=1e-12)
    with pytest.raises(ValueError, match="axes.*got bounds of"):
        region_weights(SPHERE, {"x": (0.0, 1.0)})
    with pytest.raises(ValueError, match="no grid point"):
        region_weights(SPHERE, {"latitude": (50.1, 50.2)})


def test_beam_on_the_sphere_and_through_a_periodic_boundary():
    degree = float(distances(SPHERE, [np.array([55.0]), np.array([-4.0])])[0, 5, 7])  # 55 north, 357 east
    chord = np.sin(np.radians(0.5)) * np.cos(np.radians(55.0))
    assert degree == pytest.approx(2 * 6371 * np.arcsin(chord), rel=1e-12)
    weights = beam_weights(SPHERE, [np.array([55.0, 50.2]), np.array([-4.0, 1.0])], 1e-3)
    assert float(weights[0, 5, 6]) == 1.0 and float(weights[1, 10, 11]) == 1.0  # narrow: the nearest point
    weights = beam_weights(TORUS, [np.array([0.0]), np.array([0.25])], 0.4)
    y, x = np.meshgrid(*TORUS.coordinates, indexing="ij")
    square = np.minimum(y, 2 - y) ** 2 + np.minimum(abs(x - 0.25), 3 - abs(x - 0.25)) ** 2
    truth = np.exp(-square / (2 * 0.4**2))
    np.testing.assert_allclose(weights[0].numpy(), truth / truth.sum(), rtol=1e-12)
    with pytest.raises(ValueError, match="outside the domain"):
        beam_weights(SPHERE, [np.array([70.0]), np.array([-4.0])], 50.0)
    with pytest.raises(ValueError, match="width"):
        beam_weights(TORUS, [np.array([0.0]), np.array([0.0])], 0.0)


def test_averages_over_places_and_times():
    x, space, time = draw(1, 5, *TORUS_EVENT), draw(2, 4, 8, 6), draw(3, 4, 3)
    found = Averages(space, TORUS_EVENT, time, [1, 0, 1, 1])(x)
    for i, c in enumerate([1, 0, 1, 1]):
        truth = torch.einsum("ntyx,t,yx->n", x[:, c], time[i], space[i])
        torch.testing.assert_close(found[:, i], truth, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(Averages(space, TORUS_EVENT)(x), torch.einsum("ntyx,myx->nm", x[:, 0], space) / 3)
    with pytest.raises(ValueError, match="needs weights of places"):
        Averages(space, TORUS_EVENT, time[:, :2])
    with pytest.raises(ValueError, match="channels 0 to 1"):
        Averages(space, TORUS_EVENT, channel=2)


def test_spectrum_of_a_wave_and_parseval():
    y, x = (torch.from_numpy(v) for v in np.meshgrid(*TORUS.coordinates, indexing="ij"))
    wave = 0.7 * torch.cos(2 * torch.pi * (2 * y / 2.0 - x / 3.0)) + 0.2 * torch.sin(2 * torch.pi * x / 3.0) + 0.5
    operator = SpectralBand(TORUS, (1, 1, 8, 6), [(2, -1), (0, 1), (0, 0), (3, 2)])
    real, imaginary = operator(wave[None, None, None])[0].split([4, 3])
    half = np.sqrt(0.5)
    np.testing.assert_allclose(real, [0.7 * half, 0.0, 0.5, 0.0], atol=1e-14)
    np.testing.assert_allclose(imaginary.abs(), [0.0, 0.2 * half, 0.0], atol=1e-14)
    whole = SpectralBand(TORUS, TORUS_EVENT, band((8, 6), 0, np.inf), channel=1)
    field = draw(4, 2, *TORUS_EVENT)
    square = whole(field).reshape(2, 3, -1).square().sum(-1)
    assert whole.m == 3 * 48
    torch.testing.assert_close(square, field[:, 1].square().mean((-1, -2)), rtol=1e-12, atol=0)
    assert energetic(wave[None, None, None], 2) == [(0, 0), (2, -1)]


def test_modes_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="differ, k and -k"):
        SpectralBand(TORUS, TORUS_EVENT, [(1, 1), (-1, -1)])
    with pytest.raises(ValueError, match="half of the points"):
        SpectralBand(TORUS, TORUS_EVENT, [(5, 0)])
    with pytest.raises(ValueError, match="does not fit"):
        SpectralBand(TORUS, (2, 3, 8, 8), [(1, 0)])
    with pytest.raises(ValueError, match="no mode"):
        band((8, 6), 20, 30)
    with pytest.raises(ValueError, match="periodic"):
        SpectralBand(SPHERE, (1, 1, 13, 13), [(1, 0)])


@pytest.mark.parametrize("name", OPERATORS)
def test_singular_values_and_vectors(name):
    operator = OPERATORS[name]()
    values, left = operator.singular(F64)
    rows = operator.rows(F64).flatten(1)
    torch.testing.assert_close(values.sort().values, torch.linalg.svdvals(rows).sort().values, rtol=0, atol=1e-7)
    torch.testing.assert_close(left @ values.square().diag() @ left.T, rows @ rows.T, rtol=0, atol=1e-12)


def test_subsamples_and_block_means():
    x = draw(5, 3, *TORUS_EVENT)
    assert torch.equal(every_nth(TORUS_EVENT, (2, 4, 3))(x), x[:, :, ::2, ::4, ::3].flatten(1))
    mean = x.reshape(3, 2, 1, 3, 4, 2, 3, 2).mean((3, 5, 7))
    torch.testing.assert_close(block_means(TORUS_EVENT, (3, 2, 2))(x), mean.flatten(1), rtol=1e-12, atol=1e-12)
    area = draw(6, 8, 6).abs()
    found = block_means(TORUS_EVENT, (1, 8, 6), area)(x).reshape(3, 2, 3)
    torch.testing.assert_close(found, (x * area).sum((-1, -2)) / area.sum(), rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="do not divide"):
        block_means(TORUS_EVENT, (1, 3, 2))
    with pytest.raises(ValueError, match="steps >= 1"):
        every_nth(TORUS_EVENT, (1, 2))


def pieces(laws):
    """Two windows of a vector of six, observed by matrices with the given laws of three sensors each."""
    y = torch.tensor([[1.0, 0.0, 2.0], [3.0, 1.0, 0.0]], dtype=F64)
    return [Observation(Matrix(0.3 * draw(10 + i, 3, 6), (6,)), y, law) for i, law in enumerate(laws)]


GAUSSIAN = Gaussian(torch.tensor([0.5, 1.0, 2.0], dtype=F64))
CORRELATED = Correlated(torch.eye(3, dtype=F64) + 0.5)
OTHERS = [
    StudentT(torch.ones(3, dtype=F64), torch.full((3,), 4.0, dtype=F64)),
    Poisson(torch.ones(3, dtype=F64), torch.full((3,), 5.0, dtype=F64)),
]


@pytest.mark.parametrize(
    ("laws", "kind"),
    [
        ([GAUSSIAN, GAUSSIAN], Gaussian),
        ([GAUSSIAN, CORRELATED], Correlated),
        ([GAUSSIAN, *OTHERS], Mixed),
        ([CORRELATED, *OTHERS], Mixed),
    ],
)
def test_stacked_likelihood_is_the_product(laws, kind):
    parts, x = pieces(laws), draw(20, 4, 6)
    whole = stack(parts)
    assert type(whole.noise) is kind and whole.operator.linear and whole.operator.m == 3 * len(laws)
    truth = sum(part.log_likelihood(x) for part in parts)
    torch.testing.assert_close(whole.log_likelihood(x), truth, rtol=1e-12, atol=1e-12)


def test_what_cannot_be_stacked_is_refused():
    one, other = pieces([GAUSSIAN, GAUSSIAN])
    with pytest.raises(ValueError, match="same windows"):
        stack([one, other.select(slice(1))])
    with pytest.raises(ValueError, match="events of one shape"):
        stack_operators([one.operator, Matrix(torch.ones(1, 5), (5,))])
    assert stack([one]) is one
