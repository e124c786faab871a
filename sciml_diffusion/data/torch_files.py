"""Dictionaries of tensors saved by torch, read without running any code of theirs."""

import warnings
import zipfile
from pathlib import Path

import torch

PICKLE = b"\x80"


def is_torch(path: Path, head: bytes) -> bool:
    """Whether a file is a torch archive (a ZIP that holds data.pkl) or a pickle, of whatever name.

    Arguments:
        path: of the file.
        head: its first bytes.
    """
    if head[:1] == PICKLE:
        return True
    if head[:4] != b"PK\x03\x04":
        return False
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    return b"/data.pkl" in head[:200]  # cut short: the list of contents at its end is missing


def load_torch(path: Path) -> dict:
    """The dictionary in a torch file. Tensors stay on disk (memory maps) until they are used, where the file allows.

    Only tensors and plain values are admitted (torch.load with weights_only=True).

    Raises:
        ValueError: a file that would run code, that holds no dictionary, or that is damaged.
    """
    archive = zipfile.is_zipfile(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about pickles of other protocols, which are refused below
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except Exception as error:  # unpickling errors, and what a damaged archive brings
        text = str(error)
        if "weights_only" in text.lower() or "Unsupported" in text:
            raise ValueError(
                f"{path} holds Python objects beside tensors; reading it could run code, so it is refused: have its "
                "owner save a dictionary of tensors alone"
            ) from error
        why = (text or type(error).__name__).splitlines()[0][:200]
        raise ValueError(f"{path} is a torch file that cannot be read ({why}); damaged or incomplete") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds {type(content).__name__}; a dictionary of tensors is needed")
    return content
