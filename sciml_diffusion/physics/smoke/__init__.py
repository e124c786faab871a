"""Smoke in a box with obstacles and exits: incompressible flow on a staggered (MAC) grid that carries a density."""
