"""Leaves of configs/ by name, without hydra, and words for names that do not exist."""

import difflib
import importlib
import inspect

from .resources import resource_folder


def leaf(group: str, name: str, kind: str, otherwise: str, options: dict, given: tuple[str, ...] = ()) -> tuple:
    """The target of a leaf of configs/ and its arguments with the options applied.

    Raises:
        FileNotFoundError: no such leaf. TypeError: the target has no such option (those `given` are not for the user).
    """
    import yaml

    leaves = {path.stem: path for path in sorted((resource_folder("configs") / group).glob("*.yaml"))}
    check_known(name, sorted(leaves), kind, otherwise)
    found = yaml.safe_load(leaves[name].read_text())
    module, _, attribute = found.pop("_target_").rpartition(".")
    target = getattr(importlib.import_module(module), attribute)
    known = [word for word in inspect.signature(target).parameters if word not in given]
    if unknown := sorted(set(options) - set(known)):
        raise TypeError(f"{name} has no option {', '.join(unknown)}; its options are {', '.join(known)}")
    return target, found | options


def check_known(name: str, names: list[str], kind: str, otherwise: str = "") -> None:
    """Raises FileNotFoundError with near names where `name` is not one of `names`."""
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}."
        more = f" {otherwise[0].upper()}{otherwise[1:]} works too." if otherwise else ""
        raise FileNotFoundError(f"no {kind} named {name!r}; {hint}{more}")
