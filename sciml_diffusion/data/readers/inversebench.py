"""InverseBench (Zheng et al. 2025): LMDB of raw arrays, whose keys are the numbers of the samples as text.

Neither dtype nor shape is stored. Navier-Stokes, the default: vorticity (1, 128, 128), little-endian float32, on
[0, 2 pi)^2 with x first, after 5 time units from a Gaussian random field, Re = 200, forcing -4 cos(4 y), between -10
and 10. Other sets: give dtype=, shape= and name= (black holes: dtype="<f8", shape=(1, 400, 400), name="image").
"""

import threading
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import xarray as xr

from ..on_disk import on_disk, outer
from ..per_sample import cells
from ..probe import Probe

TITLE = "InverseBench: LMDB of raw arrays (extra 'lmdb')"
MAGIC = b"\xde\xc0\xef\xbe"  # at byte 16 of the first page
DTYPE, SHAPE, TIME, REYNOLDS, LENGTH = "<f4", (1, 128, 128), 5.0, 200.0, 2 * np.pi
_one_at_a_time = threading.Lock()  # LMDB forbids to open a file twice in one process


def recognises(probe: Probe) -> bool:
    """Whether it is an LMDB file, or the folder of one."""
    file = probe.path / "data.mdb" if "data.mdb" in probe.files else probe.path
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(20)[16:] == MAGIC


def read(path: Path, dtype: str = DTYPE, shape: tuple[int, ...] = SHAPE, name: str = "vorticity") -> xr.Dataset:
    """One field per sample, at one time.

    Arguments:
        path: of the folder with data.mdb, or of that file.
        dtype: of the stored numbers, with byte order.
        shape: of one value: (1, X, Y).
        name: of the field; "vorticity" is that of the Navier-Stokes set, which brings its grid and time with it.

    Raises:
        ImportError: without the extra. ValueError: keys or sizes other than these, or a damaged file.
    """
    if find_spec("lmdb") is None:
        raise ImportError(f"{path} is an LMDB; to read it: pip install 'sciml_diffusion[lmdb]'")
    shape = tuple(int(size) for size in shape)
    if len(shape) != 3 or shape[0] != 1:
        raise ValueError(f"{path}: shape is (1, X, Y), one channel of two axes; got {shape}")
    file = path / "data.mdb" if path.is_dir() else path
    count, size = _look(file)
    expected = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if size != expected:
        raise ValueError(
            f"{path}: a value has {size} bytes, but {shape} of {dtype} has {expected}; the file stores neither, "
            'so give them, for example shape=(1, 64, 64), dtype="<f4"'
        )
    read = partial(_read, file, np.dtype(dtype), shape, count)
    attrs = {"title": "InverseBench: fields in an LMDB", "source": "InverseBench"}
    attrs |= {} if (dtype, shape) == (DTYPE, SHAPE) else {"comment": "shape and dtype as given"}
    text = {"units": "", "long_name": name}
    coords = {"sample": np.arange(count), "time": [0.0]}
    axis = {"long_name": "number of the point"}
    coords |= {dim: (dim, np.arange(float(n)), axis) for dim, n in zip("xy", shape[1:], strict=True)}
    if (name, dtype, shape) == ("vorticity", DTYPE, SHAPE):
        text["units"] = "1"
        coords |= {"time": [TIME]} | cells(SHAPE[1], LENGTH, "x") | cells(SHAPE[2], LENGTH, "y")
        attrs |= {"title": "InverseBench: vorticity (Navier-Stokes)", "Re": REYNOLDS, "nu": 1 / REYNOLDS}
        attrs |= {"equation": "w_t + v . grad w = nu lap w + f", "forcing": "f = -4 cos(4 y)", "boundary": "periodic"}
    sizes = (count, 1, *shape[1:])
    return xr.Dataset({name: on_disk(("sample", "time", "x", "y"), file, sizes, read, text)}, coords, attrs)


def _open(file: Path):
    """The environment, read only; nothing is written beside the file."""
    import lmdb

    try:
        environment = lmdb.open(str(file), subdir=False, readonly=True, lock=False, create=False, readahead=False)
    except lmdb.Error as error:
        raise ValueError(f"{file} cannot be read as LMDB ({error}); it is damaged or incomplete") from error
    needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if file.stat().st_size < needed:  # reading beyond the end would kill the process
        environment.close()
        raise ValueError(f"{file} has {file.stat().st_size} bytes of {needed}; it is damaged or incomplete")
    return environment


def _look(file: Path) -> tuple[int, int]:
    """Number of samples, and bytes of the first."""
    with _one_at_a_time, _open(file) as environment, environment.begin() as transaction:
        count = environment.stat()["entries"]
        first, last = transaction.get(b"0"), transaction.get(str(count - 1).encode())
    if not count or first is None or last is None:
        raise ValueError(f"{file} has {count} entries, but not the keys 0 to {count - 1} as text")
    return count, len(first)


def _read(file: Path, dtype: np.dtype, shape: tuple[int, ...], count: int, key: tuple) -> np.ndarray:
    """Copies of the values of some samples; the one channel serves as the axis of time."""
    numbers = np.arange(count)[key[0]]
    fields = []
    with _one_at_a_time, _open(file) as environment, environment.begin() as transaction:
        for number in np.atleast_1d(numbers).tolist():
            value = transaction.get(str(number).encode())
            if value is None or len(value) != np.prod(shape) * dtype.itemsize:
                raise ValueError(f"{file}: the value {number} is missing or has another size than the first")
            fields.append(outer(np.frombuffer(value, dtype).reshape(shape), key[1:]))
    return np.stack(fields) if numbers.ndim else fields[0]
