"""The random coefficients of public Darcy sets: a Gaussian field of cosines, cut into two phases or exponentiated."""

from torch import Tensor

from .random_fields_separable import SeparableRandomField


class NeumannRandomField(SeparableRandomField):
    """g(y, x) = sum_{jk} s_jk xi_jk c_j c_k cos(pi j y / L) cos(pi k x / L), without its mean; xi_jk ~ N(0, 1),

    s_jk = tau^(alpha - 1) (pi^2 (j^2 + k^2) / L^2 + tau^2)^(-alpha / 2), c_0 = 1, else c_k = sqrt(2): the covariance
    tau^(2 alpha - 2) (-Lap + tau^2)^(-alpha) with zero slope on the walls. The defaults are the law of the Darcy,
    Poisson and Helmholtz sets of FNO and DiffusionPDE, where K is the number of points.
    Source: Z. Li et al., Fourier Neural Operator (ICLR 2021); J. Huang et al., DiffusionPDE (NeurIPS 2024).

    Arguments:
        alpha: decay of the spectrum, > 1.
        tau: inverse correlation length > 0, in radians for each unit of length.
        modes: K >= 2: cosines j, k < K.
        lengths: (L_y, L_x) > 0.

    Raises:
        ValueError: where an argument is outside its range.
    """

    def __init__(
        self, alpha: float = 2.0, tau: float = 3.0, modes: int = 128, lengths: tuple[float, float] = (1.0, 1.0)
    ):
        if not tau > 0:
            raise ValueError(f"tau must be > 0: the amplitude is tau^(alpha - 1); got {tau}")
        super().__init__(("cosine", "cosine"), alpha, tau, tau ** (alpha - 1), modes, lengths)


def two_phase(values: Tensor, high: float = 12.0, low: float = 3.0, threshold: float = 0.0) -> Tensor:
    """`high` where values >= threshold, else `low`; any shape, in the dtype of the values. Darcy of FNO: 12 and 3.

    Arguments:
        values: of any shape.
        high: coefficient of the upper phase.
        low: coefficient of the lower phase.
        threshold: that divides them.
    """
    upper = (values >= threshold).to(values.dtype)
    return low + (high - low) * upper
