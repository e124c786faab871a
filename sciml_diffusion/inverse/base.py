"""Posterior methods: from a denoiser and an observation to a weighted ensemble, with the cost that it took."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..denoisers.wrapped import Wrapped
from ..ensemble import WeightedEnsemble
from ..observations.noise import Gaussian
from ..observations.observation import Observation
from ..observations.operators import LinearOperator, Operator
from ..samplers.streams import MemberStreams


class PosteriorMethod(ABC):
    """Draws from p(x | y) for a prior that is given by its denoiser; subclasses state how, and what they need.

    `needs` names what the observation must offer: "linear" (A linear, noise Gaussian: `Observation.linear_gaussian`),
    "gradient" (A can be differentiated), or "forward" (A and the noise's density alone).

    Arguments:
        sigmas: noise grid, strictly decreasing and ending in 0, with shape (n + 1,).

    Raises:
        ValueError: where the grid does not decrease strictly to 0.
    """

    needs = "linear"

    def __init__(self, sigmas: Tensor):
        if sigmas.ndim != 1 or len(sigmas) < 2 or (sigmas.diff() >= 0).any() or sigmas[-1] != 0:
            raise ValueError(f"sigmas must decrease strictly and end in 0; got {sigmas.tolist()}")
        self.sigmas = sigmas

    @torch.no_grad()
    def sample(
        self,
        denoiser: Denoiser,
        observation: Observation,
        streams: MemberStreams,
        callback: Callable[[int], None] | None = None,
    ) -> WeightedEnsemble:
        """Returns K members for each of the B windows of the observation: members x with shape (B, K, *event).

        Arguments:
            denoiser: E[x | x_t].
            observation: y with shape (B, m), in the space of the denoiser.
            streams: random numbers, with rows = B K, members within windows.
            callback: called after each step with the number of steps done.

        The diagnostics count `network_calls` (passes through the denoiser, forward and backward) and `operator_calls`
        (of A and of its transpose) for each member. Warns in words where weights have collapsed.

        Raises:
            ValueError: where the streams or the operator do not fit the observation or the denoiser, the observation
                is not of the kind that the method `needs`, or no member of a window is finite.
        """
        check_needs(type(self).__name__, self.needs, observation)
        windows = len(observation.y)
        if len(streams.observations) != windows:
            keys = len(streams.observations)
            raise ValueError(f"the observation has {windows} windows; the streams have keys for {keys}")
        if tuple(observation.operator.event) != tuple(denoiser.event):
            raise ValueError(
                f"the operator observes events of shape {tuple(observation.operator.event)}; the denoiser makes "
                f"{tuple(denoiser.event)}. Carry the data to diffusion space with observation.through(codecs)"
            )
        observation, log_scale = observation.whitened()
        network, operator = CountedDenoiser(denoiser, streams.rows), counted(observation.operator)
        seen = replace(observation, operator=operator).to(observation.y.dtype, streams.device)
        x, log_weights, diagnostics = self.run(network, seen, streams, callback or (lambda done: None))
        if "log_evidence" in diagnostics:
            diagnostics["log_evidence"] = diagnostics["log_evidence"] + log_scale
        shape = (windows, streams.rows // windows)
        weighted = log_weights is not None
        if not weighted:
            log_weights = torch.zeros(shape, dtype=torch.float64, device=x.device)
        diagnostics |= {"network_calls": network.calls, "operator_calls": operator.calls}
        ensemble = WeightedEnsemble(x.reshape(*shape, *x.shape[1:]), log_weights, diagnostics)
        ensemble.drop_lost()
        if weighted:
            ensemble.warn_if_collapsed()
        return ensemble

    @abstractmethod
    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, Tensor | None, dict]:
        """Returns members (B K, *event), log-weights (B, K) or None, and diagnostics; arguments as in `sample`."""

    def levels(self, streams: MemberStreams, sigmas: Tensor | None = None) -> list[tuple[float, Tensor]]:
        """The noise grid as numbers, to compare on the host, beside tensors of shape () on the streams' device.

        Arguments:
            sigmas: another grid in the place of the method's own, with shape (n + 1,).
        """
        sigmas = self.sigmas if sigmas is None else sigmas
        return list(zip(sigmas.tolist(), sigmas.to(streams.device, streams.dtype), strict=True))


class CountedDenoiser(Wrapped):
    """A denoiser that counts the passes through another, forward and backward: `calls` for each member.

    Arguments:
        denoiser: the one that does the work.
        rows: number of members: so many rows make one call.
    """

    def __init__(self, denoiser: Denoiser, rows: int = 1):
        super().__init__(denoiser)
        self.rows, self._passed = rows, 0

    @property
    def calls(self) -> int:
        """Passes for each member, rounded up."""
        return -(-self._passed // self.rows)

    def forward(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        self._passed += len(x_t)
        return self.inner(x_t, sigma)

    def draw(self, x_t: Tensor, sigma: Tensor, streams: MemberStreams) -> Tensor:
        self._passed += len(x_t)
        return self.inner.draw(x_t, sigma, streams)

    def vjp(self, x_t: Tensor, sigma: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        self._passed += len(x_t)
        mean, pull = self.inner.vjp(x_t, sigma)

        def counted(u: Tensor) -> Tensor:
            self._passed += len(u)
            return pull(u)

        return mean, counted


class CountedOperator(Operator):
    """An operator that counts how often another is applied: `calls`, of A, of its derivative and of its transpose.

    Arguments:
        operator: the one that does the work.
    """

    def __init__(self, operator: Operator):
        self.inner, self.event, self.m, self.calls = operator, tuple(operator.event), operator.m, 0
        self.differentiable = operator.differentiable

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.inner(x)

    def at(self, x: Tensor) -> tuple[Tensor, LinearOperator]:
        self.calls += 1
        value, slope = self.inner.at(x)
        return value, CountedSlope(slope, self)


class CountedLinear(CountedOperator, LinearOperator):
    """`CountedOperator` for a linear operator: its derivative is itself."""

    def adjoint(self, y: Tensor) -> Tensor:
        self.calls += 1
        return self.inner.adjoint(y)

    def at(self, x: Tensor) -> tuple[Tensor, LinearOperator]:
        return self(x), self


class CountedSlope(LinearOperator):
    """A derivative whose products count as calls of the operator that it came from.

    Arguments:
        slope: the derivative.
        counter: the operator.
    """

    def __init__(self, slope: LinearOperator, counter: CountedOperator):
        self.slope, self.counter, self.event, self.m = slope, counter, slope.event, slope.m

    def __call__(self, x: Tensor) -> Tensor:
        self.counter.calls += 1
        return self.slope(x)

    def adjoint(self, y: Tensor) -> Tensor:
        self.counter.calls += 1
        return self.slope.adjoint(y)


def counted(operator: Operator) -> CountedOperator:
    """The operator with a counter of its calls."""
    return (CountedLinear if operator.linear else CountedOperator)(operator)


def check_needs(method: str, needs: str, observation: Observation) -> None:
    """Refuses an observation that a method cannot take, and names methods that can.

    Raises:
        ValueError: where the method needs a linear operator with Gaussian noise, or one that can be differentiated.
    """
    operator, noise = observation.operator, type(observation.noise).__name__
    if needs == "linear" and not (operator.linear and isinstance(observation.noise, Gaussian)):
        kind = "an operator that is not linear" if not operator.linear else f"{noise} noise"
        raise ValueError(f"{method} needs a linear operator and Gaussian noise; got {kind}. {suited(observation)}")
    if needs == "gradient" and not operator.differentiable:
        raise ValueError(
            f"{method} needs an operator that can be differentiated; this one is a black box. {suited(observation)}"
        )


def suited(observation: Observation) -> str:
    """Says in words which of the shipped methods take an observation."""
    from .catalogue import METHODS

    takes = ["forward"]
    if observation.operator.differentiable:
        takes.append("gradient")
    if observation.operator.linear and isinstance(observation.noise, Gaussian):
        takes.append("linear")
    return f"Methods that take it: {', '.join(name for name, needs in METHODS.items() if needs in takes)}"
