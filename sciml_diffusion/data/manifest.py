"""The record of a folder of trajectories: which files hold which samples, with their checksums and how they came."""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

NAME = "manifest.json"
KIND = "sciml_diffusion trajectories"
PART = ".unfinished"  # ending of what is not whole yet
PIECE = 1 << 20  # bytes read at a time


@dataclass
class Manifest:
    """What a folder of trajectories holds.

    Arguments:
        request: what was asked for: generator and its settings, seed, start, samples, shard, format, version.
        shards: one dictionary for each file that is whole: file, first, samples, bytes, sha256, moments.
    """

    request: dict
    shards: list[dict] = field(default_factory=list)
    kind: str = KIND

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """The manifest of a folder.

        Raises:
            FileNotFoundError: the folder has none. ValueError: it is damaged, or that of another program.
        """
        path = Path(folder) / NAME
        if not path.is_file():
            raise FileNotFoundError(f"{folder} has no {NAME}: no folder of generated trajectories")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            manifest = cls(**content)
            missing = {"samples", "start", "format"} - set(manifest.request)
            bare = [s for s in manifest.shards if not {"file", "first", "samples", "bytes", "sha256"} <= set(s)]
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{path} is damaged ({str(error).splitlines()[0][:120]}); generate the data again"
            ) from error
        if manifest.kind != KIND or missing or bare:
            raise ValueError(f"{path} is no manifest of generated trajectories, or damaged")
        return manifest

    def save(self, folder: Path) -> None:
        """Writes the manifest, whole or not at all."""
        write_text(Path(folder) / NAME, json.dumps(asdict(self), indent=1) + "\n")

    @property
    def samples(self) -> int:
        """Number of samples in files that are whole."""
        return sum(shard["samples"] for shard in self.shards)

    @property
    def bytes(self) -> int:
        """Size of these files."""
        return sum(shard["bytes"] for shard in self.shards)

    def add(self, shard: dict) -> None:
        """Enters a file that is whole, in the order of the samples."""
        self.shards = sorted([*self.shards, shard], key=lambda entry: entry["first"])

    @property
    def complete(self) -> bool:
        """Whether all samples that were asked for are there."""
        return self.samples == self.request["samples"]


def digest(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a file, or of all files of a folder with their names."""
    total, found = 0, hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        if file != path:
            found.update(str(file.relative_to(path)).encode() + b"\0")
        with file.open("rb") as stream:
            while piece := stream.read(PIECE):
                total += len(piece)
                found.update(piece)
    return total, found.hexdigest()


def verify_trajectories(folder: str | Path) -> int:
    """Compares every file of a folder of trajectories with its checksum; returns the number of samples.

    Raises:
        FileNotFoundError: no manifest. ValueError: files that are missing, damaged, or not written yet.
    """
    manifest = verify_files(folder)
    if not manifest.complete:
        raise ValueError(
            f"{folder} holds {manifest.samples} of {manifest.request['samples']} samples; resume=true makes the others"
        )
    return manifest.samples


def verify_files(folder: str | Path) -> Manifest:
    """Compares the files that a folder of trajectories has so far with their checksums; returns its manifest.

    Raises:
        FileNotFoundError: no manifest. ValueError: a file that is missing or damaged.
    """
    folder = Path(folder).expanduser()
    manifest = Manifest.load(folder)
    for shard in manifest.shards:
        if not fits(folder, shard):
            raise ValueError(
                f"{folder / shard['file']} is missing or damaged (its checksum differs); generating into the folder "
                "again with resume=true makes it anew"
            )
    return manifest


def fits(folder: Path, shard: dict) -> bool:
    """Whether the file of a shard is there and has its checksum."""
    path = folder / shard["file"]
    return path.exists() and digest(path) == (shard["bytes"], shard["sha256"])


def write_text(path: Path, text: str) -> None:
    """Writes a text file, whole or not at all."""
    unfinished = path.with_name(path.name + PART)
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


def remove(path: Path) -> None:
    """Removes a file or a folder where there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
