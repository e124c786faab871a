"""Truth: a prior that was saved and read again gives the same numbers, and says the same of itself."""

import json

import numpy as np
import pytest
import torch
from registry import BASES

from sciml_diffusion.codecs.standardise import Climatology, Standardise
from sciml_diffusion.denoisers.basis import FourierBasis, IdentityBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.denoisers.mixture import MixtureDenoiser
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.prior import Prior, Variable, rebuild


def _numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _gaussian(basis, event):
    return GaussianDenoiser(_numbers(*event), basis, _numbers(*basis(_numbers(1, *event)).shape[1:]).square() + 0.1)


def _prior(denoiser=None, codec=None, step=0.1):
    window = (1, 2, 3, 4)
    grid = Grid(("latitude", "longitude"), (np.array([60.0, 59, 58]), np.arange(4.0)), (None, 4.0))
    return Prior(
        denoiser or _gaussian(FourierBasis(2), (2, 3, 4)),
        codec or Standardise(_numbers(1, 1, 3, 4), torch.full((1, 1, 1, 1), 2.0), window, True),
        grid,
        (Variable("t2m", "K", "air_temperature", "2 m temperature"),),
        2,
        step,
        (0.02, 30.0),
        {"period": "March 2019", "scores": {"crps": 0.4}},
    )


@pytest.mark.parametrize("name", BASES)
def test_gaussian_in_every_basis_comes_back(name, tmp_path):
    make, event = BASES[name]
    prior = _prior(_gaussian(make().float(), event))
    prior.save(tmp_path / "p")
    again = Prior.load(tmp_path / "p")
    for name, tensor in prior.denoiser.named_buffers():
        assert torch.equal(dict(again.denoiser.named_buffers())[name], tensor)  # bit for bit
    x, sigma = _numbers(3, *event, seed=1), torch.tensor(0.6)
    # a file holds contiguous tensors, so products may sum in another order: float32 rounding
    torch.testing.assert_close(again.denoiser(x, sigma), prior.denoiser(x, sigma), rtol=1e-5, atol=1e-5)


def test_everything_else_comes_back(tmp_path):
    codec = Climatology(_numbers(1, 24, 3, 4), torch.ones(1, 1, 1, 1), (1, 2, 3, 4), True)
    prior = _prior(codec=codec, step=np.timedelta64(3, "h"))
    prior.save(tmp_path / "p")
    again = Prior.load(tmp_path / "p")
    assert again.step == np.timedelta64(3, "h") and again.shape == prior.shape == (1, 2, 3, 4)
    assert again.variables == prior.variables and again.card == prior.card and again.sigma_range == (0.02, 30.0)
    assert again.grid.dims == prior.grid.dims and again.grid.periods == prior.grid.periods
    assert all(np.array_equal(a, b) for a, b in zip(again.grid.coordinates, prior.grid.coordinates, strict=True))
    time, z = np.datetime64("2019-03-01T05", "h") + 3 * np.arange(2), _numbers(2, 2, 3, 4)
    assert torch.equal(again.codec.at(time).decode(z), codec.at(time).decode(z))
    assert not list(tmp_path.glob("*.partial"))


def test_mixture_comes_back(tmp_path):
    prior = _prior(MixtureDenoiser(torch.zeros(3), _numbers(3, 2, 3, 4), IdentityBasis(), torch.ones(1, 2, 3, 4)))
    prior.save(tmp_path / "p")
    x, sigma = _numbers(3, 2, 3, 4, seed=1), torch.tensor(0.6)
    found = Prior.load(tmp_path / "p").denoiser(x, sigma)
    # log-weights are normalised once more when it is built: float32 rounding
    torch.testing.assert_close(found, prior.denoiser(x, sigma), rtol=1e-6, atol=1e-6)


def test_a_prior_replaces_an_older_one(tmp_path):
    _prior(step=0.1).save(tmp_path / "p")
    _prior(step=0.7).save(tmp_path / "p")
    assert Prior.load(tmp_path / "p").step == 0.7


def test_a_folder_without_a_prior_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no prior.json"):
        Prior.load(tmp_path)


@pytest.mark.parametrize("damage", ["truncated", "missing", "format", "key"])
def test_an_incomplete_prior_is_refused(tmp_path, damage):
    folder = tmp_path / "p"
    _prior().save(folder)
    document, tensors = folder / "prior.json", folder / "prior.safetensors"
    if damage == "truncated":
        tensors.write_bytes(tensors.read_bytes()[:200])
    elif damage == "missing":
        tensors.unlink()
    else:
        content = json.loads(document.read_text())
        content = {**content, "format": 99} if damage == "format" else {k: content[k] for k in content if k != "codec"}
        document.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="cannot be read"):
        Prior.load(folder)


def test_nothing_but_modules_of_the_package_is_built():
    for target in ("torch.nn.Linear", "sciml_diffusion.prior.Prior", "os.system"):
        with pytest.raises(ValueError, match="is not a"):
            rebuild({"_target_": target}, {})
