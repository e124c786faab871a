"""The Gaussian fitted from frames, against known laws: a drawn covariance, localisation, folds, persistence."""

import math

import numpy as np
import pytest
import torch

from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.training.gaussian import fit_gaussian, mode_correlations
from sciml_diffusion.training.inner_folds import gaussian_crps, inner_blocks, krige
from sciml_diffusion.training.spatial_law import Geometry, SpatialLaw, embed, gaspari_cohn

WHOLE = SpatialLaw(taper=math.inf, share=0.0)
X = np.linspace(0, 10, 12)


def line(n: int = 12) -> Grid:
    return Grid(("x",), (np.linspace(0, 10, n),), (None,))


def law_of(length: float, rho: float, n: int = 12) -> tuple[torch.Tensor, float]:
    """Covariance exp(-d^2 / 2 l^2) in space, plus a nugget that keeps it regular; AR(1) with rho in time."""
    x = torch.linspace(0, 10, n, dtype=torch.float64)
    return torch.exp(-((x[:, None] - x) ** 2) / (2 * length**2)) + 0.05 * torch.eye(n, dtype=torch.float64), rho


def frames(count: int, covariance: torch.Tensor, rho: float, seed: int) -> torch.Tensor:
    """A stationary series with covariance rho^|dt| C, with shape (count, 1, n)."""
    generator = torch.Generator().manual_seed(seed)
    white = torch.randn(count, len(covariance), generator=generator, dtype=torch.float64)
    noise, out = white @ torch.linalg.cholesky(covariance).T, []
    for step in noise:
        out.append(step if not out else rho * out[-1] + math.sqrt(1 - rho**2) * step)
    return torch.stack(out)[:, None]


def dense(denoiser) -> torch.Tensor:
    """C of a Gaussian denoiser as a matrix on the flattened event."""
    size = math.prod(denoiser.event)
    infinity = torch.tensor(torch.inf)
    return (
        denoiser.surrogate(infinity).apply(torch.eye(size).reshape(size, *denoiser.event)).reshape(size, size).double()
    )


def test_known_covariance_is_recovered_from_many_frames():
    space, rho = law_of(2.0, 0.8)
    segments = [frames(4000, space, rho, seed) for seed in range(5)]
    denoiser, choices = fit_gaussian(segments, 3, line(), law=WHOLE)
    lag = (torch.arange(3)[:, None] - torch.arange(3)).abs()
    truth = torch.kron(rho**lag, space)
    # 20000 frames with a decorrelation time of 9 frames: 2200 independent ones, so 1 / sqrt(2200) = 2 % of error in
    # each entry, 3 standard errors over the matrix
    assert (dense(denoiser) - truth).abs().max() < 0.1
    assert denoiser.event == (3, 12) and choices["frames"] == 20000
    # -1 / ln 0.8 = 4.48 frames
    assert choices["decorrelation"] == pytest.approx(4.48, rel=0.1)


def test_covariance_is_positive_and_full_rank_with_fewer_frames_than_points():
    space, rho = law_of(1.0, 0.5, 40)
    denoiser, _ = fit_gaussian([frames(10, space, rho, 0)], 4, line(40), law=SpatialLaw(share=0.3))
    values = torch.linalg.eigvalsh(dense(denoiser))
    assert float(values.min()) > 0 and len(values) == 160
    assert torch.isfinite(denoiser(torch.zeros(2, 4, 40), torch.tensor(0.5))).all()


def test_localisation_removes_noise_between_distant_points():
    space, rho = law_of(0.5, 0.0)
    segments = [frames(30, space, rho, 1)]
    far = torch.tensor(np.abs(X[:, None] - X) > 5)
    errors = {}
    for name, law in (("whole", WHOLE), ("localised", SpatialLaw(taper=0.25, share=0.0))):
        error = dense(fit_gaussian(segments, 1, line(), law=law)[0]) - space
        errors[name] = float(error[far].square().mean().sqrt())
    # from 30 frames a correlation of 0 is estimated with an error of 1 / sqrt(30) = 0.18; the taper is 0 beyond 5
    assert errors["whole"] > 0.1 and errors["localised"] < 1e-4


def test_choices_beat_the_plain_sample_covariance_on_unseen_frames():
    space, rho = law_of(1.0, 0.7, 30)
    segments, unseen = [frames(120, space, rho, 2)], frames(2000, space, 0.0, 3)
    scores = []
    for law in (None, WHOLE):
        c = dense(fit_gaussian(segments, 1, line(30), law=law)[0])
        seen, rest = torch.arange(0, 30, 5), torch.tensor([i for i in range(30) if i % 5])
        mean, variance = krige(c, seen, rest, unseen[:, 0, seen], 0.05)
        scores.append(float(gaussian_crps(mean, variance.sqrt(), unseen[:, 0, rest]).mean()))
    assert scores[0] < 0.97 * scores[1]


def test_inner_folds_keep_blocks_and_gaps_apart():
    folds = inner_blocks([100, 60], 4, 5)
    assert torch.equal(torch.cat([block for _, block in folds]), torch.arange(160))
    for rest, block in folds:
        assert int((rest[:, None] - block).abs().min()) > 5
        assert len(rest) >= 160 - 40 - 10
    assert inner_blocks([20], 4, 2) == []


def test_fit_does_not_depend_on_frames_that_it_is_not_given():
    # a blocked test period is cut out before the fit; its neighbours stay two segments that no lag bridges
    space, rho = law_of(2.0, 0.9)
    series = frames(200, space, rho, 4)
    parts = [series[:80], series[120:]]
    one = fit_gaussian(parts, 2, line(), law=WHOLE)[0]
    two = fit_gaussian([parts[1], parts[0]], 2, line(), law=WHOLE)[0]
    torch.testing.assert_close(dense(one), dense(two), atol=1e-5, rtol=1e-5)  # float32 buffers


def test_every_mode_keeps_its_own_persistence():
    generator = torch.Generator().manual_seed(0)
    rhos, out = torch.tensor([0.1, 0.5, 0.95], dtype=torch.float64), [torch.zeros(3, dtype=torch.float64)]
    for _ in range(20000):
        out.append(rhos * out[-1] + (1 - rhos**2).sqrt() * torch.randn(3, generator=generator, dtype=torch.float64))
    correlation = mode_correlations([torch.stack(out[100:])], 4, pool=0.0)
    # without pooling each mode is averaged with its neighbours by rank alone: the middle one with both
    assert float(correlation[2, 0, 1]) == pytest.approx((0.95 + 0.5) / 2, abs=0.05)
    assert float(torch.linalg.eigvalsh(correlation).min()) > 0
    torch.testing.assert_close(correlation.diagonal(dim1=1, dim2=2), torch.ones(3, 4, dtype=torch.float64))


def test_several_variables_share_their_correlation():
    space, rho = law_of(2.0, 0.0)
    one, other = frames(4000, space, rho, 5), frames(4000, space, rho, 6)
    both = torch.cat([one, 0.6 * one + 0.8 * other], 1)
    denoiser, _ = fit_gaussian([both], 1, line(), law=SpatialLaw(share=0.5, reach=0.3))
    c = dense(denoiser)
    # correlation 0.6 at the same point, in the sample and in the target; 4000 frames: 3 / sqrt(4000) = 0.05
    assert float((c[:12, 12:].diagonal() / 1.05).mean()) == pytest.approx(0.6, abs=0.05)


def test_contrast_parts_points_of_unlike_features():
    feature = torch.tensor([0.0] * 6 + [1.0] * 6, dtype=torch.float64)
    geometry = Geometry(embed(line()), 1, feature)
    sample, index, ones = torch.eye(12).double(), torch.arange(12), torch.ones(1, 1).double()
    plain = geometry.covariance(sample, SpatialLaw(share=1.0), index, ones)
    parted = geometry.covariance(sample, SpatialLaw(share=1.0, contrast=1.0), index, ones)
    gap = 1 / float(feature.std())
    torch.testing.assert_close(parted[5, 6], plain[5, 6] * math.exp(-0.5 * gap**2))
    torch.testing.assert_close(parted[4, 5], plain[4, 5])


def test_taper_is_the_published_function():
    # Gaspari and Cohn 1999, eq. 4.10, at r = 0, 1/2, 1, 3/2, 2 by hand
    r = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0], dtype=torch.float64)
    torch.testing.assert_close(
        gaspari_cohn(r), torch.tensor([1, 0.684895833, 0.208333333, 0.016493056, 0, 0]).double(), atol=1e-8, rtol=1e-6
    )


def test_distances_on_sphere_and_circle():
    sphere = embed(Grid(("latitude", "longitude"), (np.array([0.0, 90.0]), np.array([0.0, 90.0])), (None, None)))
    # equator to pole: a chord of sqrt(2) radii
    assert float((sphere[0] - sphere[2]).norm()) == pytest.approx(6371 * math.sqrt(2))
    circle = embed(Grid.periodic((8,), (1.0,)))
    assert float((circle[0] - circle[7]).norm()) == pytest.approx(float((circle[0] - circle[1]).norm()))


@pytest.mark.parametrize(
    ("segments", "window", "grid", "words"),
    [
        ([torch.zeros(20, 1, 9000)], 2, line(9000), "at most 8000.*Coarsen"),
        ([torch.zeros(1, 1, 12)], 1, line(), "at least 2 frames"),
        ([torch.zeros(5, 1, 12)], 8, line(), "at least 8 frames"),
        ([torch.full((20, 1, 12), torch.nan)], 2, line(), "missing"),
        ([torch.zeros(20, 1, 11)], 2, line(), "grid has"),
        ([], 2, line(), "segments"),
    ],
)
def test_what_cannot_be_fitted_is_refused(segments, window, grid, words):
    with pytest.raises(ValueError, match=words):
        fit_gaussian(segments, window, grid)
