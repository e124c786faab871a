"""Counted memory: the tensors that are alive at one time."""

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class PeakMemory(TorchDispatchMode):
    """Bytes of tensors alive within the mode, and their largest sum."""

    def __init__(self):
        super().__init__()
        self.known, self.bytes, self.peak = {}, 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self.add(tensor.untyped_storage())
        return out

    def add(self, storage):
        key = storage._cdata
        if key not in self.known:
            size = storage.nbytes()
            self.known[key] = weakref.finalize(storage, self.drop, key, size)
            self.bytes += size
            self.peak = max(self.peak, self.bytes)

    def drop(self, key, size):
        del self.known[key]
        self.bytes -= size
