"""Largest margins of infinitely wide relu networks on labelled points of the plane, certified, and runs towards them.

Chizat and Bach's theorem: trained with the logistic loss from a start of all directions, both layers converge in
direction to the classifier of `variation_margin`, the output layer alone to that of `kernel_margin`.
Source: Chizat & Bach 2020, Implicit bias of gradient descent for wide two-layer neural networks trained with the
logistic loss, COLT, PMLR 125, arXiv:2002.04486.
"""

from wflow.margins.arrangement import Arrangement
from wflow.margins.kernel import KernelMargin, arc_cosine, hard_margin, kernel_margin
from wflow.margins.training import both_layers, kernel_of, margins, output_layer, trained
from wflow.margins.variation import VariationMargin, variation_margin

__all__ = [
    "Arrangement",
    "KernelMargin",
    "VariationMargin",
    "arc_cosine",
    "both_layers",
    "hard_margin",
    "kernel_margin",
    "kernel_of",
    "margins",
    "output_layer",
    "trained",
    "variation_margin",
]
