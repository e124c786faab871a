"""One file that holds all a run needs to go on: weights, optimiser, averages, random states, counters."""

import json
import os
from pathlib import Path

from torch import Tensor

FORMAT = 1


def save_checkpoint(path: Path, tensors: dict[str, Tensor], state: dict) -> None:
    """Writes tensors (any shape) and a JSON state to one safetensors file, under a temporary name first."""
    from safetensors.torch import save_file

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    plain = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    save_file(plain, partial, metadata={"state": json.dumps({"format": FORMAT, **state})})
    os.replace(partial, path)


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Reads what `save_checkpoint` wrote: tensors by name, and the state.

    Raises:
        FileNotFoundError: there is no checkpoint. ValueError: it is incomplete or of another format.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint at {path}; start the training without resume=true")
    try:
        with safe_open(path, "pt") as file:
            state = json.loads((file.metadata() or {})["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        if state["format"] != FORMAT:
            raise ValueError(f"format {state['format']}, this version reads {FORMAT}")
        return tensors, state
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise ValueError(
            f"the checkpoint {path} is incomplete or damaged ({error}); "
            "start again with overwrite=true in the place of resume=true"
        ) from error


def section(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors (any shape) whose names begin with `name` and a colon, without that."""
    return {k.removeprefix(f"{name}:"): v for k, v in tensors.items() if k.startswith(f"{name}:")}
