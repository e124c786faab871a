"""What tests of readers ask of every format."""

import pickle

import pytest
from xarray.backends import BackendArray
from xarray.core import indexing

from sciml_diffusion.data.open import open_path


def on_disk(variable) -> bool:
    """Whether a variable's values are still in their file, also in a copy that went to another process.

    xarray's wrappers are taken off one by one.
    """
    data = pickle.loads(pickle.dumps(variable)).variable._data
    while isinstance(data, indexing.ExplicitlyIndexed) and hasattr(data, "array"):
        data = data.array
    return isinstance(data, BackendArray)


def check_refusal(path, *words: str, kind=ValueError, **options) -> None:
    """Opening, or reading what was opened, ends with an error that holds the words and names the file."""
    with pytest.raises(kind) as caught:
        open_path(path, **options).load()
    message = str(caught.value)
    for word in (*words, path.name):
        assert word in message, message
