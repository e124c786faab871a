"""APEBench's arrays with their JSON. Truth: advection u(x - c t) of waves, in physical and in normalised terms."""

import json

import numpy as np
import pytest
from reader_checks import check_refusal, on_disk

from sciml_diffusion.data.container import grid_of, to_tensor
from sciml_diffusion.data.open import open_path

S, T, X, LENGTH, DT, SPEED = 3, 5, 32, 4.0, 0.1, 0.75


@pytest.fixture
def scenario(tmp_path):
    """Writes NAME_SPLIT.npy and NAME.json as the scraper does."""

    def write(values: np.ndarray, name="1d_phy_adv", split="train", **info):
        known = {"num_spatial_dims": values.ndim - 3, "num_points": values.shape[-1], "num_channels": values.shape[2]}
        known |= {"ic_config": "fourier;5;true;true", "vlim": [-1.0, 1.0], "num_warmup_steps": 0} | info
        (tmp_path / f"{name}.json").write_text(json.dumps({"name": name, "info": known}))
        np.save(tmp_path / f"{name}_{split}.npy", values.astype("f4"))
        return tmp_path / f"{name}_{split}.npy"

    return write


def wave(x: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * x) + 0.5 * np.cos(6 * np.pi * x)


def advected(shift: float) -> np.ndarray:
    """Waves that move by a share of the domain in each frame; samples differ in phase: (S, T, 1, X)."""
    x, t, phase = np.arange(X) / X, np.arange(T)[:, None], 0.3 * np.arange(S)[:, None, None]
    return wave(x - shift * t - phase)[:, :, None]


def test_physical_scenario(scenario):
    path = scenario(advected(SPEED * DT / LENGTH), domain_extent=LENGTH, dt=DT, advection_coef=-SPEED)
    ds = open_path(path)
    assert ds.u.dims == ("sample", "time", "x") and on_disk(ds.u) and ds.attrs["advection_coef"] == -SPEED
    assert grid_of(ds).periods == (LENGTH,)
    x = ds.x.values / LENGTH - SPEED / LENGTH * ds.time.values[:, None]
    # the wave of the first sample, at the coordinates and times of the container; float32
    np.testing.assert_allclose(ds.u[0], wave(x), atol=3e-6)
    np.testing.assert_array_equal(ds.u.isel(sample=2, time=[4, 1], x=slice(0, 3)), np.load(path)[2, [4, 1], 0, :3])


def test_normalised_scenario(scenario):
    ds = open_path(scenario(advected(0.1), "1d_diff_adv", "test", gammas=[0.0, -4.0]))
    np.testing.assert_array_equal(ds.time, np.arange(T))
    assert grid_of(ds).periods == (1.0,) and "normalised" in ds.attrs["comment"]
    np.testing.assert_allclose(ds.u[0], wave(ds.x.values - 0.1 * ds.time.values[:, None]), atol=3e-6)


def test_channels_and_two_dimensions(scenario):
    values = np.stack([np.full((2, 3, 8, 8), 1.0), np.full((2, 3, 8, 8), 2.0)], axis=2)
    values[..., 5, 0] = 9.0  # the first axis is x
    ds = open_path(scenario(values, "2d_phy_gs", domain_extent=2.5, dt=20.0))
    assert ds.u1.dims == ("sample", "time", "x", "y") and float(ds.u1.isel(x=5, y=0).min()) == 9.0
    assert to_tensor(ds).shape == (2, 3, 2, 8, 8) and float(ds.u0[0, 0, 1, 1]) == 1.0


def test_poisson_is_steady(scenario):
    """-u'' = f on [0, 10): f = sin(k x), u = f / k^2."""
    k = 2 * np.pi / 10
    f = np.sin(k * np.arange(X) * 10 / X)
    ds = open_path(scenario(np.stack([f, f / k**2])[None, :, None], "1d_phy_poisson", domain_extent=10.0, order=2))
    assert ds.sizes["time"] == 1 and float(ds.time[0]) == 0
    np.testing.assert_allclose(ds.u * k**2, ds.f, atol=1e-6)


def test_wrong_json(scenario, tmp_path):
    path = scenario(advected(0.1))
    card = tmp_path / "1d_phy_adv.json"
    good = json.loads(card.read_text())
    for content, word in (
        ('{"info": ', "not the JSON of a scenario"),
        (json.dumps({"info": good["info"]}), "name"),
        (json.dumps(good | {"info": good["info"] | {"num_points": 64}}), "means (S, T + 1, 1, 64)"),
        (json.dumps(good | {"info": good["info"] | {"domain_extent": 1.0}}), "gives no dt"),
    ):
        card.write_text(content)
        check_refusal(path, word)
    card.unlink()
    check_refusal(path, "needs the JSON", format="apebench")


def test_changed_truncated_or_with_objects(scenario, tmp_path):
    path = scenario(advected(0.1))
    ds = open_path(path)
    np.save(path, np.zeros((S, T + 1, 1, X)))
    with pytest.raises(ValueError, match="has changed"):
        ds.u.load()
    path.write_bytes(path.read_bytes()[:1000])
    check_refusal(path, "damaged")
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    check_refusal(path, "could run code")
