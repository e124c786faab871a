"""NumPy files that stay on disk; one that would run code is refused."""

from pathlib import Path

import numpy as np


def open_npy(path: Path) -> np.ndarray:
    """The array of a .npy file as a read-only memory map.

    Raises:
        ValueError: an array of Python objects (a pickle, which would run code), or a damaged file.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        if "object" in str(error).lower() or "pickle" in str(error).lower():
            raise ValueError(
                f"{path} holds Python objects, not numbers; reading it could run code, so it is refused: have its "
                "owner save a plain array of numbers"
            ) from error
        raise ValueError(f"{path} is a NumPy file that cannot be read ({error}); damaged or incomplete") from error
