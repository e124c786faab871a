"""From key=value words to a configuration, with errors that name what was meant."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

from ..resources import resource_folder
from .usage import groups, leaves

KEY = re.compile(r"^[A-Za-z_][\w-]*(\.[\w-]+)*$")
PLAIN = re.compile(r"^[\w./+-]+$")  # letters, digits and what numbers and paths are made of


def compose(verb: str, words: Sequence[str]) -> DictConfig:
    """Returns the configuration of a verb with the words applied.

    Arguments:
        verb: name of a file in configs/.
        words: overrides such as "members=64", "method=smc", "method.covariance=jacobian".
    Raises:
        ValueError: a word that is no key=value, names no key or no leaf, or a needed key is missing.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    choices, given = groups(verb), [_split(word) for word in words]
    overrides = []
    for key, value in given:
        if key in choices:
            _check(value, leaves(choices[key][0]), key)
            group = choices[key][0]
            overrides.append(f"{group}={value}" if group == key else f"{group}@{key}={value}")
    with initialize_config_dir(str(resource_folder("configs").resolve()), version_base="1.3"):
        config = hydra_compose(verb, overrides)
    known = keys(config)
    for key, value in given:
        if key not in choices:
            _check(key, known)
            OmegaConf.update(config, key, _of_kind(key, parsed(key, value), OmegaConf.select(config, key)))
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        needed = ", ".join(f"{key}=..." for key in missing)
        raise ValueError(f"{verb} needs {needed}; `sciml-diffusion {verb} --help` explains")
    return config


def keys(config: DictConfig | ListConfig, prefix: str = "") -> list[str]:
    """Dotted names of everything in a configuration that an override may set."""
    found = []
    for key in config:
        if str(key).startswith("_"):
            continue
        found.append(f"{prefix}{key}")
        value = None if OmegaConf.is_missing(config, key) else config[key]
        if isinstance(value, DictConfig):
            found += keys(value, f"{prefix}{key}.")
    return found


def parsed(key: str, value: str):
    """The value of a word: numbers, true, false, null and lists in hydra's grammar; anything else is text as it is.

    Raises:
        ValueError: a list that is not closed, for example.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    if value.startswith("~/"):
        value = str(Path(value).expanduser())
    if value[:1] not in ("[", "{") and not PLAIN.match(value):
        return value.replace("${", "\\${")
    try:
        return OverridesParser.create().parse_override(f"{key}={value}").value()
    except HydraException as error:
        raise ValueError(f"{key}={value} cannot be read; a list is written '{key}=[1, 2]'") from error


def _split(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals or not KEY.match(key):
        raise ValueError(f"{word!r} is no setting; settings are written key=value")
    return key, value


def _of_kind(key: str, value, default):
    """The value, where the default is no number or switch or the value is one too.

    Raises:
        ValueError: a word where a number belongs, for example.
    """
    kinds = {bool: ((bool,), "true or false"), int: ((int,), "a whole number"), float: ((int, float), "a number")}
    allowed, words = kinds.get(type(default), ((object,), ""))
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed and object not in allowed):
        raise ValueError(f"{key} must be {words}, for example {key}={str(default).lower()}; got {value!r}")
    return value


def _check(name: str, known: list[str], group: str | None = None) -> None:
    """Raises ValueError with near names where `name` is no key (or no leaf of `group`)."""
    if name not in known:
        near = get_close_matches(name, known, n=3, cutoff=0.5)
        top = ", ".join(key for key in known if "." not in key)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {top}."
        what = f"{name!r} is no choice for {group}=" if group else f"there is no setting {name!r}"
        raise ValueError(f"{what}; {hint}")
