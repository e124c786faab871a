"""PDE simulation, inverse problems and forecasts with diffusion priors, as ensembles whose uncertainty can be reported.

The names of the facade are resolved on first use, so that importing the package costs nothing.
"""

__version__ = "0.1.0"

_FACADE = {  # name -> module that defines it
    "fit_prior": "api",
    "from_arrays": "data.arrays",
    "from_xarray": "data.arrays",
    "generate": "api",
    "leave_stations_out": "api",
    "load_prior": "api",
    "measure": "api",
    "observe": "api",
    "open_dataset": "api",
    "plot": "api",
    "posterior": "api",
    "sample": "api",
    "score": "api",
    "verdict": "verdicts",
}

__all__ = ["__version__", *_FACADE]


def __getattr__(name: str):
    if name in _FACADE:
        from importlib import import_module

        return getattr(import_module(f".{_FACADE[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; the facade is {', '.join(_FACADE)}")


def __dir__() -> list[str]:
    return sorted(__all__)
