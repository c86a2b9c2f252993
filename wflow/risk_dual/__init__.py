"""One minimising movement of a network's risk, by the concave dual in the residual."""

LINE = 8
"""Nodes on one axis, over those on an axis of two."""
