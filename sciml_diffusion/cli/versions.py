"""What a run ran with, for its record."""

import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

RECORDED = ("torch", "numpy", "scipy", "pandas", "xarray", "h5netcdf", "neuraloperator", "accelerate", "safetensors")


def versions(seed: int | None, seconds: float) -> dict:
    """What a run ran with: versions, platform, git commit of the package's source tree, seed, command and seconds."""
    from .. import __version__

    return {
        "sciml_diffusion": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in RECORDED},
        "commit": git_commit(),
        "seed": seed,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
    }


def git_commit() -> str | None:
    """Commit of the source tree that the package runs from ("+changes" where files differ); None outside git."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    options = {"capture_output": True, "text": True, "check": True, "timeout": 10}
    try:
        commit = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], **options).stdout.strip()
        changes = subprocess.run(["git", "-C", str(root), "status", "--porcelain", "-uno"], **options).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+changes" if changes else "")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
