"""What is in a file, looked at once, so that every reader can say whether it is its own."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

HDF5 = b"\x89HDF\r\n\x1a\n"
NPY = b"\x93NUMPY"
MATLAB_HEADER = 512  # bytes before the HDF5 part of a MATLAB v7.3 file


class Probe:
    """A file or folder and what it holds; nothing large is read.

    Arguments:
        path: of a file or a folder that exists.
    """

    def __init__(self, path: Path):
        self.path = Path(path)

    @cached_property
    def head(self) -> bytes:
        """The first 1024 bytes of a file; empty for a folder."""
        if self.path.is_dir():
            return b""
        with self.path.open("rb") as file:
            return file.read(1024)

    @cached_property
    def is_hdf5(self) -> bool:
        """HDF5, with or without the header of MATLAB v7.3."""
        return self.head[:8] == HDF5 or self.head[MATLAB_HEADER : MATLAB_HEADER + 8] == HDF5

    @cached_property
    def hdf5(self) -> dict[str, tuple[int, ...] | None]:
        """Names at the top of an HDF5 file, groups as None and datasets with their shapes; empty for other files."""
        return self._hdf5(lambda file: {name: getattr(item, "shape", None) for name, item in file.items()})

    @cached_property
    def attributes(self) -> dict:
        """Attributes at the top of an HDF5 file; empty for other files."""
        return self._hdf5(lambda file: dict(file.attrs))

    @cached_property
    def matlab(self) -> dict[str, tuple[int, ...]]:
        """Variables of a MATLAB file (v5 to v7.3) with their shapes in MATLAB's order; empty for other files."""
        from .matlab import variables

        return variables(self.path) if self.head[:6] == b"MATLAB" else {}

    @cached_property
    def npy(self) -> tuple[int, ...]:
        """Shape of the array in a NumPy file; () for other files. One that would run code is refused (ValueError)."""
        from .numpy_files import open_npy

        return open_npy(self.path).shape if self.head[:6] == NPY else ()

    @cached_property
    def torch(self) -> dict[str, tuple[int, ...]]:
        """Tensors of a dictionary saved by torch, with shapes; empty for other files. Code is refused (ValueError)."""
        from .torch_files import is_torch, load_torch

        if not is_torch(self.path, self.head):
            return {}
        return {name: tuple(value.shape) for name, value in load_torch(self.path).items() if hasattr(value, "shape")}

    @cached_property
    def files(self) -> set[str]:
        """Names in a folder; empty for a file."""
        return {entry.name for entry in self.path.iterdir()} if self.path.is_dir() else set()

    def _hdf5(self, look: Callable) -> dict:
        """What `look` finds in an open HDF5 file; {} where it is none, ValueError where it is damaged."""
        if not self.is_hdf5:
            return {}
        import h5py

        try:
            with h5py.File(self.path, "r") as file:
                return look(file)
        except (OSError, RuntimeError, KeyError) as error:
            why = str(error).splitlines()[0][:200]
            raise ValueError(f"{self.path} is HDF5 but cannot be read ({why}); it is damaged or incomplete") from error
