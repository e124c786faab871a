"""Steady problems: Darcy, Poisson and Helmholtz on rectangles, differentiable and batched."""
