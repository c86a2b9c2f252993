"""This file owns the spectral method on the circle: the yardstick of the others."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from wflow.arrays import Array, ComplexArray, count
from wflow.circle_series import circle_modes_of
from wflow.domain import TURN
from wflow.flow import Flow
from wflow.fourier import FourierDensity, series_at_nodes
from wflow.solver import EVERY_PROMISE, RK4_REAL, Order, Promise, Solver, State, Step, explicit_bound


@dataclass(frozen=True)
class Fourier(Solver):
    """c_n' = -i n (rho v)_n - T n^2 c_n for |n| <= modes, v = -V'[pi], by Runge-Kutta of order 4.

    Products are taken on 4N nodes, so the quadratic term is not aliased. Errors in space fall faster than any power
    for smooth positive densities: there is no space order, the size of the last coefficient is reported instead.
    Raises LostDensity where the density falls below -1e-9: the modes no longer resolve it.
    """

    modes: int
    resolution: ClassVar[str] = "modes"
    needs: ClassVar[Literal["density", "quantile", "sample"]] = "density"
    recalled: ClassVar[frozenset[str]] = frozenset({"slope", "power"})

    def __post_init__(self) -> None:
        count("Fourier modes", self.modes, least=2)

    def order(self, flow: Flow) -> Order:
        """(4, inf)."""
        return Order(4.0, math.inf)

    def keeps(self, flow: Flow) -> frozenset[Promise]:
        """Mass and energy; positivity only down to -1e-9, so it is not promised."""
        return EVERY_PROMISE - {"positivity"}

    def _refusal(self, flow: Flow) -> str | None:
        """Other domains than the circle; laws without a density."""
        if not flow.domain.is_circle:
            return "Fourier modes live on the circle"
        if not flow.initial.has_density:
            return "the initial law has no density; atoms are for particles"
        if flow.initial.regularity != "smooth":
            return "the initial density jumps, where modes ring below zero; use finite volumes or particles"
        if flow.energy.power is not None:
            return "a Power term makes the density touch zero, where modes ring; use finite volumes"
        return None

    def init(self, flow: Flow) -> State:
        c = circle_modes_of(flow.initial, self.modes)
        c[0] = 1.0
        return State(0.0, FourierDensity(c))

    def largest_step(self, flow: Flow, state: State) -> float:
        """min(2.7/(T N^2), 2.7/(N max|v|), 1/(max|V''| + coupling))."""
        pi = state.measure
        speed = float(np.max(np.abs(flow.energy.velocity(pi, pi.points))))
        fastest = flow.energy.temperature * self.modes**2 + speed * self.modes
        return min(RK4_REAL / fastest if fastest > 0.0 else math.inf, explicit_bound(flow.energy, pi))

    def step(self, flow: Flow, state: State, dt: float) -> Step:
        pi = state.measure
        assert isinstance(pi, FourierDensity)
        c = pi.coefficients
        k1 = state.memory.get("slope")
        power = state.memory.get("power")
        if not (isinstance(k1, np.ndarray) and isinstance(power, float)):
            k1, power = self._slope(flow, c)
        k2, _ = self._slope(flow, c + 0.5 * dt * k1)
        k3, _ = self._slope(flow, c + 0.5 * dt * k2)
        k4, _ = self._slope(flow, c + dt * k3)
        end = c + dt / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        last, power_end = self._slope(flow, end)
        _, power_middle = self._slope(flow, 0.5 * (c + end) + dt / 8.0 * (k1 - last))
        spent = dt / 6.0 * (power + 4.0 * power_middle + power_end)
        return Step(state.after(dt, FourierDensity(end), slope=last, power=power_end), dissipated=spent)

    def _slope(self, flow: Flow, c: ComplexArray) -> tuple[ComplexArray, float]:
        """dc/dt (N+1,) and int |grad(V + T log rho)|^2 rho."""
        pi = FourierDensity(c)
        n = np.arange(len(c))
        temperature = flow.energy.temperature
        v = flow.energy.velocity(pi, pi.points)[:, 0]
        flux = np.fft.rfft(pi.nodal * v)[: len(c)] * (TURN / len(v))
        slope = -1j * n * flux - temperature * n**2 * c
        return slope, _power(pi, v, temperature)


def _power(pi: FourierDensity, v: Array, temperature: float) -> float:
    """int |v - T rho'/rho|^2 rho by the nodes; an empty node carries no flux."""
    if not temperature:
        return float(pi.weights @ v**2)
    n = np.arange(pi.degree + 1)
    gradient = series_at_nodes(1j * n * pi.coefficients / TURN, len(v))
    flux = pi.nodal * v - temperature * gradient
    full = pi.nodal > 1e-300
    return float(np.sum(flux[full] ** 2 / pi.nodal[full]) * TURN / len(v))
