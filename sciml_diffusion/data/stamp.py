"""A guard against files that change while they are in use."""

import os
from pathlib import Path

MOST_FILES = 4096  # of a folder that are looked at before each reading: some milliseconds


class Stamp:
    """What a file or folder was when it was opened, so that no change of it is read as if it were the same data.

    Of a file its size and the time of its last change; of a folder those of its folders and files, of the first
    MOST_FILES where it has more.

    Arguments:
        path: of a file or folder.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        paths = _entries(self.path) if self.path.is_dir() else [str(self.path)]
        self._states = {entry: _state(entry) for entry in paths}

    def check(self) -> None:
        """Raises ValueError where something has been written, put in its place, or removed since."""
        if any(_state(entry) != state for entry, state in self._states.items()):
            raise ValueError(f"{self.path} has changed since it was opened; open it again (and let no job write to it)")


def _entries(folder: Path) -> list[str]:
    """The folders in a folder, itself the first, and then its files; no more than MOST_FILES."""
    folders, files = [], []
    for place, _, names in os.walk(folder):
        folders.append(place)
        if len(files) < MOST_FILES:
            files.extend(os.path.join(place, name) for name in names)
    return (folders + files)[:MOST_FILES]


def _state(path: str) -> tuple[int, int] | None:
    """Size and time of the last change; None for what is not there."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns
