"""What is in a file, looked at once, so that every reader can say whether it is its own."""

from functools import cached_property
from pathlib import Path

HDF5 = b"\x89HDF\r\n\x1a\n"
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
        if not self.is_hdf5:
            return {}
        import h5py

        with h5py.File(self.path, "r") as file:
            return {name: getattr(item, "shape", None) for name, item in file.items()}

    @cached_property
    def attributes(self) -> dict:
        """Attributes at the top of an HDF5 file; empty for other files."""
        if not self.is_hdf5:
            return {}
        import h5py

        with h5py.File(self.path, "r") as file:
            return dict(file.attrs)

    @cached_property
    def files(self) -> set[str]:
        """Names in a folder; empty for a file."""
        return {entry.name for entry in self.path.iterdir()} if self.path.is_dir() else set()
