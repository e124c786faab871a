"""PDE simulation, inverse problems and forecasts with diffusion priors, as ensembles whose uncertainty can be reported.

The names of the facade are resolved on first use, so that importing the package costs nothing.
"""

__version__ = "0.1.0"

_FACADE = (
    "fit_prior",
    "generate",
    "leave_stations_out",
    "load_prior",
    "observe",
    "open_dataset",
    "plot",
    "posterior",
    "sample",
    "score",
)

__all__ = ["__version__", *_FACADE]


def __getattr__(name: str):
    if name in _FACADE:
        from . import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; the facade is {', '.join(_FACADE)}")


def __dir__() -> list[str]:
    return sorted(__all__)
