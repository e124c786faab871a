"""The codec protocol: physical fields (B, C, T, *S) <-> diffusion space (B, *event), of unit scale on training data."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Codec(nn.Module, ABC):
    """A map between physical fields and diffusion space; owns every scale and every channel's meaning.

    `affine` says whether `decode` is so: then `decode_linear` and `decode_adjoint` exist.
    """

    affine = False

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Physical (B, C, T, *S) -> diffusion space, shape (B, *event)."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Diffusion space (B, *event) -> physical, shape (B, C, T, *S)."""

    def at(self, time) -> "Codec":
        """The codec of a window with the given times (a numpy array of shape (T,)); most codecs do not depend on it."""
        return self

    def decode_linear(self, z: Tensor) -> Tensor:
        """The linear part of an affine `decode`: decode(z) - decode(0), shape (B, *event) -> (B, C, T, *S)."""
        raise TypeError(f"{type(self).__name__} is not affine: it has no linear part")

    def decode_adjoint(self, x: Tensor) -> Tensor:
        """Transpose of `decode_linear`, shape (B, C, T, *S) -> (B, *event)."""
        raise TypeError(f"{type(self).__name__} is not affine: it has no adjoint")

    @property
    def arguments(self) -> dict:
        """Constructor arguments, from which the codec can be rebuilt."""
        return {}
