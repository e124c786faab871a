"""Run folders: the resolved configuration, versions, metrics and results of one run, whole or not at all."""

import json
import math
import os
import shutil
import sys
import time
from datetime import datetime
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from .compose import keys
from .versions import versions

MARK = "metrics.json"  # a run folder is finished when it has this file
LOCK = "running.pid"  # number of the process that writes; not believed where there is no such process
RECORDS = ("config.yaml", "versions.json", MARK, LOCK)
FREE = (
    "out",
    "overwrite",
    "resume",
    "name",
    "steps",
    "preset.config.steps",
    "workers",
    "progress",
)  # a resumed run may change


class RunFolder:
    """A context in which a verb writes its results; they appear under their final name when it ends well.

    Until then they lie in `<out>.partial`, which is removed when the run fails, unless the verb can resume from it.

    Arguments:
        verb: name of the verb, recorded and part of the default folder runs/<verb>/<date-time>.
        config: resolved settings; `out`, `overwrite`, `resume` and `seed` are read.
        resumable: whether the verb goes on from what an interrupted run left.

    Raises:
        FileExistsError: `out` holds a finished run, an unfinished one, or files that are no run of ours; another
            process writes there.
        ValueError: a run that is to go on was begun with other settings; both resume and overwrite.
    """

    def __init__(self, verb: str, config: DictConfig, resumable: bool = False):
        stamp = datetime.now().strftime("%Y-%m-%d-%H%M%S")
        self.out = Path(config.get("out") or Path("runs") / verb / stamp)
        self.partial = self.out.with_name(self.out.name + ".partial")
        self.verb, self.config, self.resumable = verb, config, resumable
        self.metrics: dict = {}
        self.resuming = False  # whether the folder holds what an earlier run left
        self.overwrite, self.resume = bool(config.get("overwrite")), bool(config.get("resume"))
        if self.resume and resumable and self.overwrite:
            raise ValueError("resume=true goes on with a run, overwrite=true starts anew; give one of them")
        self._refuse_if_taken()
        if self.resume and resumable:
            self._refuse_other_settings(self.partial if self.partial.exists() else self.out)

    def __enter__(self) -> "RunFolder":
        self._began = time.time()
        self._refuse_if_written()
        self._parents = [p for p in self.out.absolute().parents if not p.exists()]
        if self.partial.exists() and not (self.resume and self.resumable):
            shutil.rmtree(self.partial)
        if self.out.exists() and self.resume and self.resumable and not self.partial.exists():
            shutil.copytree(self.out, self.partial)
            (self.partial / MARK).unlink(missing_ok=True)
        self.partial.mkdir(parents=True, exist_ok=True)
        self._lock()
        self.resuming = any(path.name not in RECORDS for path in self.partial.iterdir())
        OmegaConf.save(self.config, self.partial / "config.yaml")
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind is not None:
            return self._abandon()
        try:
            self._finish()
        except BaseException:
            self._abandon()
            raise

    def path(self, name: str) -> Path:
        """Where to write the file or folder `name` of this run."""
        return self.partial / name

    def _abandon(self) -> None:
        if self.resumable and any(p.name not in RECORDS for p in self.partial.iterdir()) and not self._nothing_new():
            self.path(LOCK).unlink(missing_ok=True)
            print(f"unfinished: {self.partial} is kept; resume=true goes on from there", file=sys.stderr)
            return
        shutil.rmtree(self.partial, ignore_errors=True)
        for parent in self._parents:
            if parent.exists() and not any(parent.iterdir()):
                parent.rmdir()

    def _nothing_new(self) -> bool:
        """Whether the results are just those of the finished run that was to go on."""

        def results(folder: Path) -> dict:
            files = (p for p in folder.rglob("*") if p.is_file() and p.name not in RECORDS)
            return {str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns) for p in files}

        return self.out.is_dir() and self.resume and results(self.partial) == results(self.out)

    def _finish(self) -> None:
        _write_json(self.path("versions.json"), versions(self.config.get("seed"), time.time() - self._began))
        _write_json(self.path(MARK), self.metrics)
        self.path(LOCK).unlink(missing_ok=True)
        old = self.out.with_name(self.out.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        if self.out.exists():
            os.replace(self.out, old)
        os.replace(self.partial, self.out)
        shutil.rmtree(old, ignore_errors=True)

    def _refuse_other_settings(self, begun: Path) -> None:
        """A run that goes on must have the settings with which it began."""
        if not (begun / "config.yaml").is_file():
            return
        before = OmegaConf.load(begun / "config.yaml")
        for key in (key for key in keys(self.config) if key not in FREE):
            old, new = OmegaConf.select(before, key), OmegaConf.select(self.config, key)
            if not OmegaConf.is_config(new) and old != new:
                raise ValueError(
                    f"{begun} was begun with {key}={old}, now it is {new}; resume=true needs the same settings, "
                    "overwrite=true starts anew"
                )

    @property
    def finished(self) -> bool:
        """Whether `out` holds a finished run, and nothing has been begun beside it."""
        return (self.out / MARK).is_file() and not self.partial.exists()

    def _lock(self) -> None:
        """Notes who writes; of two that begin at once one is refused."""
        self.path(LOCK).unlink(missing_ok=True)  # of a process that is gone
        try:
            with self.path(LOCK).open("x", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")
        except FileExistsError:
            self._refuse_if_written()

    def _refuse_if_written(self) -> None:
        lock = self.path(LOCK)
        try:
            pid = int(lock.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return
        if pid != os.getpid() and _runs(pid):
            raise FileExistsError(f"another run (pid {pid}) writes to {self.partial}; wait, or name another out=")

    def _refuse_if_taken(self) -> None:
        self._refuse_if_written()
        if self.out.exists() and not self.out.is_dir():
            raise FileExistsError(f"{self.out} is a file; give another folder with out=")
        content = set(os.listdir(self.out)) if self.out.is_dir() else set()
        if content and not {"config.yaml", MARK} <= content:
            raise FileExistsError(f"{self.out} holds files that are no run of this program; name another with out=")
        if content and not (self.overwrite or (self.resume and self.resumable)):
            more = ", resume=true goes on from it" if self.resumable else ""
            raise FileExistsError(
                f"{self.out} holds a finished run; overwrite=true replaces it{more}, out= names another"
            )
        if self.resumable and self.partial.exists() and not (self.overwrite or self.resume):
            raise FileExistsError(
                f"{self.partial} holds an unfinished run; resume=true goes on from it, overwrite=true starts anew"
            )


def _runs(pid: int) -> bool:
    """Whether there is a process of this number; on Windows, where asking would end it, no."""
    if os.name == "nt" or pid < 1:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's process
        return True
    return True


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(_plain(content), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _plain(value):
    """Numbers and arrays of numpy and torch as JSON knows them; what is not finite becomes null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
