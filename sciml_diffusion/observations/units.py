"""Units that sensors report in: temperatures, pressures, speeds, and every unit to itself."""

import numpy as np

_SPELLINGS = {
    "degc": ("degc", "c", "°c", "deg_c", "degree_celsius", "degrees_celsius", "degree_c", "degrees_c", "celsius"),
    "k": ("k", "kelvin", "kelvins", "degk", "deg_k", "degrees_kelvin"),
    "degf": ("degf", "f", "°f", "deg_f", "degree_fahrenheit", "degrees_fahrenheit", "fahrenheit"),
    "hpa": ("hpa", "mbar", "mb", "millibar", "millibars", "hectopascal", "hectopascals"),
    "pa": ("pa", "pascal", "pascals"),
    "m s-1": ("m s-1", "m/s", "m s**-1", "m s^-1", "m.s-1", "ms-1"),
}
_CANONICAL = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings}
# unit: (base unit, scale, offset), with base = scale * value + offset
_BASES = {
    "k": ("k", 1.0, 0.0),
    "degc": ("k", 1.0, 273.15),
    "degf": ("k", 5 / 9, 459.67 * 5 / 9),
    "pa": ("pa", 1.0, 0.0),
    "hpa": ("pa", 100.0, 0.0),
}


def same_units(first: str, second: str) -> bool:
    """Whether two spellings name one unit, for example "degC" and "°C"."""
    return _canonical(first) == _canonical(second)


def convert_units(values: np.ndarray, source: str, target: str) -> np.ndarray:
    """Converts values between degC, degF and K, hPa and Pa, or from a unit to itself: b = (s_a a + o_a - o_b) / s_b.

    Arguments:
        values: in units of `source`, of any shape.
        source: units of the values; common spellings such as "°C", "celsius" or "mbar" are known.
        target: units wanted.

    Raises:
        ValueError: where the pair is not known; it names both.
    """
    if same_units(source, target):
        return np.asarray(values)
    (s_a, o_a), (s_b, o_b) = _affine(source, target)
    return (np.asarray(values) * s_a + (o_a - o_b)) / s_b


def convert_std(std: np.ndarray, source: str, target: str) -> np.ndarray:
    """Converts standard deviations: like `convert_units`, with the scale alone."""
    if same_units(source, target):
        return np.asarray(std)
    (s_a, _), (s_b, _) = _affine(source, target)
    return np.asarray(std) * (s_a / s_b)


def _canonical(unit: str) -> str:
    """One spelling for each known unit; unknown units stay as they are."""
    text = " ".join(str(unit).split())
    return _CANONICAL.get(text.lower(), text)


def _affine(source: str, target: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """Scale and offset of both units to their common base."""
    known = [_BASES.get(_canonical(unit)) for unit in (source, target)]
    if None in known or known[0][0] != known[1][0]:
        raise ValueError(
            f"cannot convert units {source!r} to {target!r}; known are degC, degF and K, hPa and Pa. "
            f"Convert the values yourself and state units={target!r}"
        )
    return known[0][1:], known[1][1:]
