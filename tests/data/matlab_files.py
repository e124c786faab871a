"""Writes MATLAB files for tests: v5 through SciPy, v7.3 as MATLAB does, with axes reversed behind a header."""

from pathlib import Path

import h5py
import numpy as np
from scipy.io import savemat


def save_matlab(path: Path, version: str, **arrays: np.ndarray) -> Path:
    """Arrays in MATLAB's order of axes, as "v5", "v5-packed" or "v7.3"."""
    if version != "v7.3":
        savemat(path, arrays, do_compression=version.endswith("packed"))
        return path
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in arrays.items():
            file[name] = np.atleast_2d(values).transpose()
            file[name].attrs["MATLAB_class"] = np.bytes_("single" if values.dtype == np.float32 else "double")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Fri Nov 20 2020".ljust(124) + b"\x00\x02IM")
    return path
