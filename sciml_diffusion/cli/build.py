"""Objects from leaves of configs/: a `_target_` inside this package and its arguments; anything else is refused."""

import inspect
from collections.abc import Mapping
from importlib import import_module

PACKAGE = __package__.partition(".")[0]


def instantiate(leaf: Mapping, *positional, **more):
    """Calls the target of a leaf with its arguments; arguments that are leaves are built first.

    Arguments:
        leaf: a mapping with `_target_`: dotted name of a class or function defined in this package.
        positional, more: arguments known only at run time; `more` wins over the leaf's.
    Raises:
        ValueError: the target lies outside this package, does not exist, or the leaf holds other keys with `_`.
        TypeError: the target does not take these arguments.
    """
    leaf = dict(leaf)
    target = resolve(leaf.pop("_target_", None))
    special = [key for key in leaf if str(key).startswith("_")]
    if special:
        raise ValueError(f"a leaf holds _target_ and its arguments; got {', '.join(special)} too")
    arguments = {key: _build(value) for key, value in leaf.items()} | more
    try:
        inspect.signature(target).bind(*positional, **arguments)
    except TypeError as error:
        raise TypeError(f"{target.__module__}.{target.__qualname__}: {error}") from error
    return target(*positional, **arguments)


def resolve(name: str | None):
    """The public class or function of this package with a dotted name.

    Raises:
        ValueError: there is none, or it belongs to somebody else.
    """
    module, _, attribute = str(name or "").rpartition(".")
    if not module.startswith(f"{PACKAGE}.") and module != PACKAGE or attribute.startswith("_"):
        raise ValueError(f"_target_ must name a class or function of {PACKAGE}; got {name!r}")
    try:
        target = getattr(import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ValueError(f"_target_ {name!r} does not exist ({error})") from error
    own = getattr(target, "__module__", "").partition(".")[0] == PACKAGE
    if not own or not (inspect.isclass(target) or inspect.isfunction(target)):
        raise ValueError(f"_target_ must name a class or function of {PACKAGE}; {name!r} belongs elsewhere")
    return target


def _build(value):
    if isinstance(value, Mapping):
        return instantiate(value) if "_target_" in value else {k: _build(v) for k, v in value.items()}
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return value
    return [_build(v) for v in value]
