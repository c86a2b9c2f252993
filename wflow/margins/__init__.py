"""Largest margins of infinitely wide relu networks on labelled points of the plane, certified, and runs towards them.

Chizat and Bach's theorem: trained with the logistic loss from a start of all directions, both layers converge in
direction to the classifier of `variation_margin`, the output layer alone to that of `kernel_margin`.
Source: Chizat & Bach 2020, Implicit bias of gradient descent for wide two-layer neural networks trained with the
logistic loss, COLT, PMLR 125, arXiv:2002.04486.
"""

from wflow.margins.arrangement import Arrangement
from wflow.margins.frozen import kernel_margins, output_layer
from wflow.margins.kernel import KernelMargin, arc_cosine, hard_margin, kernel_margin
from wflow.margins.training import NEURON, both_layers, frozen_directions, kernel_of, normalised_margins, trained
from wflow.margins.variation import VariationMargin, variation_ceiling, variation_margin

__all__ = [
    "NEURON",
    "Arrangement",
    "KernelMargin",
    "VariationMargin",
    "arc_cosine",
    "both_layers",
    "frozen_directions",
    "hard_margin",
    "kernel_margin",
    "kernel_margins",
    "kernel_of",
    "normalised_margins",
    "output_layer",
    "trained",
    "variation_ceiling",
    "variation_margin",
]
