"""Conservation laws on cells: limited slopes, Riemann fluxes, Runge-Kutta steps that keep what is bounded bounded."""
