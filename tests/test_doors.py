"""Wrong use is refused at the door: the exception's type, and a message naming the argument, the value and a remedy.

Each row of a table is (what is done wrong, the call, the exception, argument, value, remedy); the last three are
regular expressions that the message must contain.
"""

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from solvers.finite_volume import Muscl, ScharfetterGummel, Upwind
from solvers.jko import Quantile
from solvers.particles import GradientFlow, Sampled
from solvers.spectral import Fourier
from wflow import (
    Atoms,
    Box,
    CircleNeuron,
    ClosedForm,
    Constant,
    Data,
    Density,
    Entropy,
    Flow,
    FourierDensity,
    FourierKernel,
    Gaussian,
    Grid,
    Law,
    LostDensity,
    NotConverged,
    Particles,
    Potential,
    Power,
    Product,
    Quantiles,
    Refused,
    RidgeNeuron,
    Risk,
    SignedParticles,
    StepTooLarge,
    Uniform,
    activation,
    box,
    circle,
    circle_kernel,
    cylinder,
    interval,
    line,
    plane,
    problems,
    read_csv,
    solve,
    space,
    torus,
    w2,
)
from wflow.data import circle_inputs, gaussian_inputs, uniform_inputs
from wflow.energy import Energy
from wflow.transport import pieces

NAN, INF = float("nan"), float("inf")
POINTS = np.array([[0.0], [1.0], [2.0]])
CELLS = Grid(interval(0.0, 1.0), (4,))


TUBE = Product(Gaussian(), Uniform(circle()))


class Nameless(Law):
    """A law on the plane that offers nothing."""

    domain = plane()


def short(problem, **knobs):
    """A catalogue problem with a short horizon."""
    return problems.build(problem, horizon=0.1, **knobs).flow


def flow_on_plane(energy=None, initial=None):
    """A flow on R^2 in a quadratic well."""
    energy = energy or Energy(Potential.quadratic(1.0))
    return Flow(energy, plane(), initial or Gaussian(0.0, 1.0, dim=2), 0.1)


NAMELESS = flow_on_plane(None, Nameless())
FOUR = Flow(Energy(Potential.quadratic(1.0)), space(4), Gaussian(dim=4), 1.0, ((-8, 8),) * 4)


def flow_from_atoms(domain):
    """A flow whose start has no density."""
    return Flow(Energy(Potential.linear(1.0)), domain, Atoms(domain, np.array([[0.5]])), 0.1)


def unit_periodic():
    """A periodic axis that is not the circle of length 2 pi."""
    domain = Box((0.0,), (1.0,), (True,))
    return Flow(Energy(Potential.linear(0.0)), domain, Uniform(domain), 0.1)


@dataclass(frozen=True)
class Noisy(GradientFlow):
    """A stand-in for a random method: only its declaration matters at the door."""

    random: ClassVar[bool] = True


GEOMETRY = [
    ("grid of a number", lambda: Grid(circle(), 8), TypeError, "Grid shape", "8 is not a tuple", r"such as \(128,\)"),
    ("interval reversed", lambda: interval(1, 0), ValueError, "axis 0", r"lower 1\.0", "lower must be below upper"),
    ("interval of nan", lambda: interval(0, NAN), ValueError, "axis 0", "nan", "lower must be below upper"),
    ("box of two lengths", lambda: box([0, 0], [1]), ValueError, "lower, upper", "2, 1", "one entry an axis"),
    ("box of no axis", lambda: Box((), (), ()), ValueError, "lower, upper", "0, 0", "one entry an axis"),
    ("infinite turn", lambda: Box((0.0,), (INF,), (True,)), ValueError, "axis 0", "infinite", "needs finite ends"),
    ("grid of the line", lambda: Grid(line(), (8,)), ValueError, "Grid: the domain", "inf", "bounded window"),
    ("grid of one axis too few", lambda: Grid(torus(2), (8,)), ValueError, "shape", r"\(8,\)", "each of 2 axes"),
    ("grid of one cell", lambda: Grid(circle(), (1,)), ValueError, "cells an axis", "1 is too small", "at least 2"),
    ("grid of half a cell", lambda: Grid(circle(), (2.5,)), TypeError, "cells an axis", r"2\.5", "give an int"),
    ("grid of a word", lambda: Grid(circle(), ("8",)), TypeError, "cells an axis", "'8'", "give one int or float"),
]

MEASURES = [
    (
        "atom in a wall",
        lambda: Atoms(interval(0, 1), [[0.5], [2.0]]),
        ValueError,
        "Atoms points",
        r"\[2\.0\]",
        "inside",
    ),
    ("points without axis", lambda: Particles(line(), np.zeros(3)), ValueError, "points", r"\(3,\)", "reshape"),
    ("points of the plane", lambda: Particles(line(), np.zeros((3, 2))), ValueError, "points", r"\(3, 2\)", "reshape"),
    ("no points", lambda: Particles(line(), np.zeros((0, 1))), ValueError, "points", r"\(0, 1\)", "check the dim"),
    ("point nan", lambda: Particles(line(), [[0.0], [NAN]]), ValueError, "points", r"\(1, 0\): nan", "remove or rep"),
    ("point inf", lambda: Particles(line(), [[INF]]), ValueError, "points", "inf", "remove or replace"),
    ("point complex", lambda: Particles(line(), [[1j]]), TypeError, "points", "1j", "array of floats"),
    ("point a word", lambda: Particles(line(), [["1.5"]]), TypeError, "points", "1.5", "array of floats"),
    ("point None", lambda: Particles(line(), None), TypeError, "points", "None", "array of floats"),
    ("points ragged", lambda: Particles(line(), [[1.0], [1.0, 2.0]]), TypeError, "points", "list", "array of floats"),
    ("weight < 0", lambda: Particles(line(), POINTS, [1.0, 0.5, -0.5]), ValueError, "weights", "2: -0.5", ">= 0"),
    ("weights sum 2", lambda: Particles(line(), POINTS, [1, 0.5, 0.5]), ValueError, "weights", "sum to 2", "divide"),
    ("weights sum 0", lambda: Particles(line(), POINTS, [0, 0, 0]), ValueError, "weights", "sum to 0", "divide"),
    ("weights too few", lambda: Particles(line(), POINTS, [0.5, 0.5]), ValueError, "weights", r"\(2,\)", "reshape"),
    ("signed weight nan", lambda: SignedParticles(line(), POINTS, [1, NAN, 1]), ValueError, "weights", "nan", "remove"),
    ("signed too few", lambda: SignedParticles(line(), POINTS, [1, 1]), ValueError, "weights", r"\(2,\)", "reshape"),
    ("cell < 0", lambda: Density(CELLS, [2, 2, 1, -1]), ValueError, "Density values", "-1 at cell 3", ">= 0"),
    ("cells of mass 2", lambda: Density(CELLS, [2, 2, 2, 2]), ValueError, "Density values", "mass is 2", "divide"),
    ("empty cells", lambda: Density(CELLS, [0, 0, 0, 0]), ValueError, "Density values", "mass is 0", "divide"),
    ("cell nan", lambda: Density(CELLS, [NAN, 1, 1, 1]), ValueError, "Density values", "nan", "remove or replace"),
    ("cells too few", lambda: Density(CELLS, [1, 1]), ValueError, "Density values", r"\(2,\)", "reshape"),
    ("cells complex", lambda: Density(CELLS, [1j] * 4), TypeError, "Density values", "list", "array of floats"),
    ("two edges", lambda: Quantiles(line(), [0, 1]), ValueError, "Quantiles edges", "2 edges", "at least 3"),
    ("edges crossed", lambda: Quantiles(line(), [0, 2, 1]), LostDensity, "Quantiles edges", r"gap 1 \(-1\)", "sort"),
    ("edges equal", lambda: Quantiles(line(), [0, 1, 1]), LostDensity, "Quantiles edges", r"gap 1 \(0\)", "sort"),
    ("turn overrun", lambda: Quantiles(circle(), [0, 3, 7]), LostDensity, "Quantiles edges", "gap 2", "sort"),
    ("edge nan", lambda: Quantiles(line(), [0, NAN, 1]), ValueError, "Quantiles edges", "nan", "remove or replace"),
    ("edges of the plane", lambda: Quantiles(plane(), [0, 1, 2]), Refused, "Quantiles", "2 axes", "use particles"),
    ("modes negative", lambda: FourierDensity([1, 0.6]), LostDensity, "FourierDensity", "angle 3.14", "smaller coeff"),
    ("mass 2 in modes", lambda: FourierDensity([2, 0]), ValueError, "FourierDensity", "c_0 = 2", "allowed: 1"),
    ("mode nan", lambda: FourierDensity([1, NAN]), ValueError, "FourierDensity", "1 not finite", "finite numbers"),
    ("mode a word", lambda: FourierDensity("one"), TypeError, "FourierDensity", "<U3", "give c_0"),
]

LAWS = [
    ("std 0", lambda: Gaussian(0.0, 0.0), ValueError, "Gaussian std", r"\[0\.\]", "Atoms"),
    ("std < 0", lambda: Gaussian(0.0, -1.0), ValueError, "Gaussian std", "-1", "above 0"),
    ("mean nan", lambda: Gaussian(NAN), ValueError, "Gaussian mean", "nan", "remove or replace"),
    ("mean a word", lambda: Gaussian("0"), TypeError, "Gaussian mean", "'0'", "array of floats"),
    ("mean of 3 axes", lambda: Gaussian([0, 0, 0], dim=2), ValueError, "Gaussian mean", r"\(3,\)", "one entry an axis"),
    ("uniform line", lambda: Uniform(line()), ValueError, "Uniform", "infinite", "bounded box"),
    ("no atoms", lambda: Atoms(line(), np.zeros((0, 1))), ValueError, "Atoms points", r"\(0, 1\)", "check the dim"),
    ("atom < 0", lambda: Atoms(line(), POINTS, [2, -1, 0]), ValueError, "Atoms weights", "1: -1", ">= 0"),
    ("atoms sum 3", lambda: Atoms(line(), POINTS, [1, 1, 1]), ValueError, "Atoms weights", "sum to 3", "divide"),
    ("atoms' density", lambda: Atoms(line(), POINTS).density(POINTS), Refused, "Atoms", "no density", "use particles"),
    ("plane's quantile", lambda: Gaussian(dim=2).quantile(POINTS), Refused, "Gaussian", "2 axes", "sample it"),
    ("no draws", lambda: Gaussian().sample(0, np.random.default_rng(0)), ValueError, "m:", "0 is", "at least 1"),
    ("half draws", lambda: Gaussian().sample(2.5, np.random.default_rng(0)), TypeError, "m:", "2.5", "give an int"),
    (
        "cells of the plane",
        lambda: Atoms(torus(2), np.ones((1, 2))).averages(Grid(torus(2), (4, 4))),
        Refused,
        "Atoms on",
        "2 axes",
        "use particles",
    ),
    (
        "line without support",
        lambda: ClosedForm(line(), np.ones_like, np.ones_like).quantile(np.array([0.5])),
        Refused,
        "ClosedForm",
        "infinite",
        "define it",
    ),
]

COLUMN = np.array([[1.0], [2.0]])
FLAT = np.array([[5.0], [5.0]])
DATA = [
    ("inputs flat", lambda: Data([1.0, 2.0], [1.0, 2.0]), ValueError, "Data inputs", r"\(2,\)", r"x\[:, None\]"),
    ("no rows", lambda: Data(np.zeros((0, 1)), []), ValueError, "Data inputs", r"\(0, 1\)", "check the dimension"),
    ("input nan", lambda: Data([[NAN]], [1.0]), ValueError, "Data inputs", "nan", "remove or replace"),
    ("target inf", lambda: Data([[1.0]], [INF]), ValueError, "Data targets", "inf", "remove or replace"),
    ("targets too few", lambda: Data(COLUMN, [1.0]), ValueError, "Data targets", r"\(1,\)", "reshape"),
    ("data weights", lambda: Data(COLUMN, [1, 2], [1, 1]), ValueError, "Data weights", "sum to 2", "divide"),
    ("constant input", lambda: Data(FLAT, [1, 2]).standardised(), ValueError, "inputs: column 0", "is 5", "drop it"),
    ("constant target", lambda: Data(COLUMN, [3, 3]).standardised(), ValueError, "targets: col", "is 3", "drop it"),
    ("bad labels", lambda: Data(COLUMN, [1, 2]).with_targets(lambda x: x), ValueError, "targets", r"\(2, 1\)", "resh"),
    ("no teachers", lambda: problems.relu_teacher(()), ValueError, "angles:", "()", "give those of the teachers"),
    ("no angles", lambda: circle_inputs(0), ValueError, "n:", "0 is too small", "at least 1"),
    ("no nodes", lambda: gaussian_inputs(1, 0), ValueError, "n:", "0 is too small", "at least 1"),
    ("box of data reversed", lambda: uniform_inputs([1], [0], 4), ValueError, "lower", r"\[1.0\]", "lower < upper"),
    ("box of data uneven", lambda: uniform_inputs([0, 0], [1], 4), ValueError, "upper", r"\(1,\)", "reshape"),
]

NEURONS = [
    ("neuron of a name", lambda: RidgeNeuron("tanh"), TypeError, "RidgeNeuron activation", "'tanh'", "pass activation"),
    ("neuron of no input", lambda: RidgeNeuron(activation("tanh"), 0), ValueError, "RidgeNeuron inputs", "0 is", "1"),
    ("kernel of a table", lambda: FourierKernel([[1.0]]), ValueError, "FourierKernel modes", r"\(1, 1\)", "reshape"),
    ("too steep", lambda: circle_kernel(activation("tanh", 80), "circle"), ValueError, "b: tanh", "80", "smaller"),
    ("activation unknown", lambda: activation("rely"), ValueError, "activation", "'rely'", "Known: .*relu"),
    ("gelu with b", lambda: activation("gelu", 1.0), ValueError, "b: gelu", "1.0", "leave b out"),
    ("tanh of 0", lambda: activation("tanh", 0.0), ValueError, "b: tanh", "got 0", "b > 0"),
    ("relu of nan", lambda: activation("relu", NAN), ValueError, "activation b", "nan", "remove or replace"),
    ("relu of a word", lambda: activation("relu", "1"), TypeError, "activation b", "'1'", "floats"),
    ("inputs unknown", lambda: circle_kernel(activation("relu"), "sphere"), ValueError, "inputs", "'sphere'", "known"),
    ("relu out of reach", lambda: circle_kernel(activation("relu", 2), "circle"), ValueError, "b: ", "2", "b < 1"),
    (
        "relu's curvature",
        lambda: CircleNeuron(activation("relu")).curvature(np.ones((1, 2)), POINTS),
        Refused,
        "relu",
        r"jumps at \(0\.0,\)",
        "use a method without",
    ),
    (
        "columns missing",
        lambda: Risk(RidgeNeuron(activation("tanh"), inputs=3), Data(COLUMN, [1, 2])),
        ValueError,
        "Risk",
        "1 input columns",
        "takes 3",
    ),
]

ATOM = Particles(line(), POINTS)
ENERGIES = [
    ("no terms", lambda: Energy(), ValueError, "Energy", "no terms", "pass at least one"),
    ("strength nan", lambda: Potential.quadratic(NAN), ValueError, "Potential strength", "nan", "remove or replace"),
    ("constant inf", lambda: Constant(INF), ValueError, "Constant number", "inf", "remove or replace"),
    ("two entropies", lambda: Energy(Entropy(1.0), Entropy(2.0)), ValueError, "Energy", "2 internal", "add their"),
    ("two powers", lambda: Energy(Power(2.0), Power(3.0)), ValueError, "Energy", "2 internal", "add their"),
    ("linear power", lambda: Power(1.0), ValueError, "Power exponent", r"1\.0", "use Entropy"),
    ("weak power", lambda: Power(2.0, 0.0), ValueError, "Power strength", r"0\.0", "leave the term out"),
    ("power of atoms", lambda: Energy(Power(2.0)).value(ATOM), Refused, "Particles", "infinity", "with a density"),
    ("not a term", lambda: Energy(3.0), TypeError, "Energy", r"3\.0", "pass Risk"),
    ("cold", lambda: Entropy(0.0), ValueError, "Entropy temperature", r"0\.0", "leave the term out"),
    ("below cold", lambda: Entropy(-1.0), ValueError, "Entropy temperature", "-1", "leave the term out"),
    ("hot", lambda: Entropy(NAN), ValueError, "Entropy temperature", "nan", "remove or replace"),
    ("entropy of atoms", lambda: Energy(Entropy(1.0)).value(ATOM), Refused, "Particles", "infinity", "temperature to"),
    ("nothing to predict", lambda: Energy(Constant(1.0)).predict(ATOM), Refused, "predict", "no Risk", "build it with"),
    ("slope nan", lambda: Potential.linear(NAN), ValueError, "Potential slope", "nan", "remove or replace"),
    ("centre a word", lambda: Potential.quadratic(1.0, "0"), TypeError, "Potential centre", "'0'", "array of floats"),
]

WELL = Energy(Potential.quadratic(1.0))


def at_start(potential, domain, solver=None):
    """The first F of a run: where a field is first asked."""
    return solve(Flow(Energy(potential), domain, Uniform(domain), 1.0), solver or Upwind(8), steps=100)


FIELDS = [
    (
        "two centres on one axis",
        lambda: at_start(Potential.quadratic(1.0, (1.0, 2.0)), interval(0, 1)),
        ValueError,
        "Potential centre",
        r"\[1\.0, 2\.0\] on 1 axes",
        "a number or one entry an axis",
    ),
    (
        "two centres on three axes",
        lambda: at_start(Potential.quadratic(1.0, (1.0, 2.0)), box([0] * 3, [1] * 3)),
        ValueError,
        "Potential centre",
        r"\[1\.0, 2\.0\] on 3 axes",
        "a number or one entry an axis",
    ),
    (
        "one slope on two axes",
        lambda: at_start(Potential.linear(1.0), box([0, 0], [1, 1])),
        ValueError,
        "Potential slope",
        r"\[1\.0\] on 2 axes",
        "give one entry an axis",
    ),
    ("two strengths", lambda: Potential.quadratic((1.0, 2.0)), ValueError, "Potential strength", "1.0, 2.0", "one for"),
    *(
        (
            f"field of columns, {solver}",
            lambda solver=solver: at_start(Potential(lambda w, j: w**2, "mine"), interval(0, 1), solver),
            ValueError,
            r"Potential field \(mine\): derivative 0",
            r"\((\d+), 1\); return \(\1,\)",
            r"f\(w\[:, 0\]\)",
        )
        for solver in (Upwind(8), GradientFlow(8), Quantile(8))
    ),
    (
        "Hessian without axes",
        lambda: at_start(Potential(lambda w, j: w[:, 0] ** 2, "mine"), interval(0, 1), GradientFlow(8)),
        ValueError,
        r"Potential field \(mine\): derivative 2",
        r"\(8,\)",
        r"return \(8, 1, 1\)",
    ),
]
RIDGE = Energy(Risk(RidgeNeuron(activation("tanh"), outer=True), Data(COLUMN, [1.0, -1.0])))
ICE = Box((0.0,), (1.0,), (False,), (True,))
SAW = short("sawtooth")
FLOWS = [
    ("bare term", lambda: Flow(Potential.linear(1), line(), Gaussian(), 1), TypeError, "energy", "Potential", "wrap"),
    ("start of points", lambda: Flow(WELL, line(), POINTS, 1), TypeError, "initial", "ndarray", "give a law"),
    (
        "kernel elsewhere",
        lambda: Flow(SAW.energy, line(), Gaussian(), 1),
        ValueError,
        "energy",
        "inf",
        "the same domain",
    ),
    ("ridge on a torus", lambda: Flow(RIDGE, torus(2), Uniform(torus(2)), 1), ValueError, "energy", "True", "the same"),
    ("nothing moves", lambda: Flow(WELL, ICE, Uniform(ICE), 1), ValueError, "Flow domain", "frozen", "leave one free"),
    ("window a number", lambda: Flow(WELL, line(), Gaussian(), 1, 5.0), TypeError, "window", "5.0", "give"),
    ("horizon 0", lambda: Flow(WELL, line(), Gaussian(), 0.0), ValueError, "horizon", r"0\.0", "above 0"),
    ("horizon < 0", lambda: Flow(WELL, line(), Gaussian(), -1), ValueError, "horizon", "-1", "above 0"),
    ("horizon inf", lambda: Flow(WELL, line(), Gaussian(), INF), ValueError, "horizon", "inf", "finite number"),
    ("horizon None", lambda: Flow(WELL, line(), Gaussian(), None), TypeError, "horizon", "None", "one int or float"),
    ("two domains", lambda: Flow(WELL, circle(), Gaussian(), 1.0), ValueError, "Flow: the domain", "inf", "the same"),
    ("window reversed", lambda: Flow(WELL, line(), Gaussian(), 1, (1, 0)), ValueError, "window", r"\(1, 0\)", "lower"),
    ("window infinite", lambda: Flow(WELL, line(), Gaussian(), 1, (0, INF)), ValueError, "window", "inf", "not finite"),
    (
        "windows of two axes",
        lambda: Flow(WELL, line(), Gaussian(), 1, ((0, 1), (0, 1))),
        ValueError,
        "window",
        "1 axes",
        "one",
    ),
    (
        "window of a turn",
        lambda: Flow(WELL, cylinder(), TUBE, 1, ((0, 1), (0, 1))),
        ValueError,
        "window",
        "axis 1",
        "None",
    ),
    ("no window", lambda: Flow(WELL, line(), Gaussian(), 1).grid(8), Refused, "Flow", "infinite axis", "set Flow"),
]

KNOBS = [
    ("start of a seed", lambda: GradientFlow(4, 7), TypeError, "GradientFlow start", "7 is not", r"Sampled\(seed\)"),
    ("no particles", lambda: GradientFlow(0), ValueError, "GradientFlow particles", "0 is", "at least 1"),
    ("half particles", lambda: GradientFlow(2.5), TypeError, "GradientFlow particles", "2.5", "give an int"),
    ("true particles", lambda: GradientFlow(True), TypeError, "GradientFlow particles", "True", "one int or float"),
    ("seed < 0", lambda: Sampled(-1), ValueError, "Sampled seed", "-1", "at least 0"),
    ("seed None", lambda: Sampled(None), TypeError, "Sampled seed", "None", "one int or float"),
    ("upwind of 3", lambda: Upwind(3), ValueError, "Upwind cells", "3 is", "at least 4"),
    ("upwind of a float", lambda: Upwind(16.0), TypeError, "Upwind cells", r"16\.0 is not an int", "give an int"),
    ("line of a float", lambda: short("porous_well", dim=1.0), TypeError, "dim", r"1\.0", "give an int"),
    ("muscl of a word", lambda: Muscl("64"), TypeError, "Muscl cells", "'64'", "one int or float"),
    ("fitting of None", lambda: ScharfetterGummel(None), TypeError, "Gummel cells", "None", "one int or float"),
    ("fitting for ever", lambda: ScharfetterGummel(8, limit=0), ValueError, "Gummel limit", "0 is", "at least 1"),
    ("fitting too well", lambda: ScharfetterGummel(8, tolerance=0), ValueError, "tolerance", "0 is", "above 0"),
    ("one mode", lambda: Fourier(1), ValueError, "Fourier modes", "1 is", "at least 2"),
    ("three quantiles", lambda: Quantile(3), ValueError, "Quantile points", "3 is", "at least 4"),
    ("jko too well", lambda: Quantile(8, tolerance=-1.0), ValueError, "Quantile tolerance", "-1", "above 0"),
    ("jko for ever", lambda: Quantile(8, limit=0), ValueError, "Quantile limit", "0 is", "at least 1"),
]

GAUSS = short("ornstein_uhlenbeck")
P4, C8, Q8 = GradientFlow(4), Upwind(8), Quantile(8)
SOLVE = [
    ("a problem", lambda: solve(problems.sawtooth(), P4), TypeError, "solve flow", "Problem", "problem.flow"),
    ("a class", lambda: solve(SAW, Upwind), TypeError, "solve solver", "Upwind", "pass an instance"),
    (
        "window on a circle",
        lambda: solve(SAW, Upwind(8, (0, 1))),
        Refused,
        "Upwind",
        r"window \(0, 1\)",
        "leave the window",
    ),
    ("steps and dt", lambda: solve(SAW, P4, steps=3, dt=0.1), ValueError, "solve", "steps and dt", "at most one"),
    ("dt and tol", lambda: solve(SAW, P4, dt=0.1, tolerance=1), ValueError, "solve", "dt and tol", "at most one"),
    ("no steps", lambda: solve(SAW, P4, steps=0), ValueError, "steps", "0 is", "at least 1"),
    ("half steps", lambda: solve(SAW, P4, steps=1.5), TypeError, "steps", "1.5", "give an int"),
    ("dt 0", lambda: solve(SAW, P4, dt=0.0), ValueError, "dt", r"0\.0 is not", "above 0"),
    ("dt < 0", lambda: solve(SAW, P4, dt=-0.1), ValueError, "dt", "-0.1 is not", "above 0"),
    ("dt nan", lambda: solve(SAW, P4, dt=NAN), ValueError, "dt", "nan is not", "finite number"),
    ("dt a word", lambda: solve(SAW, P4, dt="0.1"), TypeError, "dt", "'0.1'", "one int or float"),
    ("tolerance 0", lambda: solve(SAW, P4, tolerance=0.0), ValueError, "tolerance", r"0\.0 is", "above 0"),
    ("tolerance of noise", lambda: solve(SAW, Noisy(4), tolerance=0.1), Refused, "Noisy", "random", "pass steps or"),
    ("time too late", lambda: solve(SAW, P4, times=[0.2]), ValueError, "times", r"0\.2", r"in \[0, 0\.1\]"),
    ("time too early", lambda: solve(SAW, P4, times=[-1, 0.1]), ValueError, "times", r"-1\.0", r"in \[0, 0\.1\]"),
    ("time nan", lambda: solve(SAW, P4, times=[NAN]), ValueError, "times", "nan", "remove or replace"),
    ("no times", lambda: solve(SAW, P4, times=[]), ValueError, "times", r"\[\]", "give at least one"),
    ("until late", lambda: solve(SAW, P4, until=0.2), ValueError, "until", r"0\.2", "earlier end"),
    ("until 0", lambda: solve(SAW, P4, until=0.0), ValueError, "until", r"0\.0", "earlier end"),
    ("until a word", lambda: solve(SAW, P4, until="0.1"), TypeError, "until", "'0.1'", "give one of them"),
    ("until unsaved", lambda: solve(SAW, P4, steps=2).at(0.03), ValueError, "at: t", "0.03", "times="),
    ("narrow window", lambda: solve(GAUSS, Upwind(8, window=(0, 1))), ValueError, "window", "0..1", "widen it"),
    ("fourier on R", lambda: solve(GAUSS, Fourier(8)), Refused, "Fourier", "modes=8", "live on the circle"),
    ("fourier of atoms", lambda: solve(flow_from_atoms(circle()), Fourier(8)), Refused, "Four", "no dens", "particles"),
    ("fitting, cold", lambda: solve(SAW, ScharfetterGummel(8)), Refused, "Gummel", "is 0", "use Upwind or Muscl"),
    ("upwind on R^2", lambda: solve(flow_on_plane(), C8), Refused, "Upwind", "infinite axis", "set Flow"),
    ("upwind on R^4", lambda: solve(FOUR, C8), Refused, "Upwind", "4 axes", "use particles"),
    ("upwind blind", lambda: solve(NAMELESS, C8), Refused, "Upwind", "no cell masses", "use particles"),
    ("muscl, no window", lambda: solve(Flow(WELL, line(), Gaussian(), 1), Muscl(8)), Refused, "Muscl", "inf", "set"),
    ("cells of unit turn", lambda: solve(unit_periodic(), C8), Refused, "Upwind", "length 1", "scale it to the circle"),
    ("jko of unit turn", lambda: solve(unit_periodic(), Q8), Refused, "Quantile", "length 1", "scale it to the circle"),
    ("jko on R^2", lambda: solve(flow_on_plane(), Q8), Refused, "Quantile", "2 axes", "quantiles need one"),
    ("jko of atoms", lambda: solve(flow_from_atoms(line()), Q8), Refused, "Quantile", "has atoms", "use particles"),
    ("particles, hot", lambda: solve(GAUSS, P4), Refused, "GradientFlow", "no entropy", "method with a density"),
    (
        "particles on R^2",
        lambda: solve(NAMELESS, P4),
        Refused,
        "Gradient",
        "no quantised",
        "start=Sampled",
    ),
    ("jko cut short", lambda: solve(GAUSS, Quantile(8, limit=1)), NotConverged, "JKO", "residual", "halve dt"),
]


def stepped(solver, flow, dt):
    """One step outside the loop, where only the method's own checks stand."""
    return solver.step(flow, solver.init(flow), dt)


WARM = short("circle_teacher", temperature=0.1)


def far_relu():
    """ReLU neurons on data have no Hessian; the coupling of V[pi] to the neurons bounds the step."""
    neuron = RidgeNeuron(activation("relu"), bias=True, outer=True)
    flow = Flow(Energy(Risk(neuron, Data(COLUMN, [1.0, -1.0]))), neuron.domain, Gaussian(dim=3), 40.0)
    return solve(flow, GradientFlow(100, Sampled(0)), dt=4.0)


DISTANCES = [
    ("a number", lambda: w2(Gaussian(), 3.0), TypeError, "the second argument", "float", r"Particles\(domain"),
    ("two turns", lambda: w2(Uniform(unit_periodic().domain), Uniform(circle())), Refused, "w2", "1.0", "like with"),
    ("line and circle", lambda: w2(Gaussian(), Uniform(circle())), Refused, "w2", "different domains", "like with"),
    ("signed", lambda: w2(SignedParticles(line(), POINTS, [1, -1, 1]), ATOM), Refused, "w2", "signed", "compare its"),
    ("half a mass", lambda: w2(SignedParticles(line(), POINTS, [0.5, 0, 0]), ATOM), ValueError, "first", "0.5", "1 to"),
    ("plane's law", lambda: w2(Nameless(), Gaussian(dim=2)), Refused, "w2", "2 axes", "pass Particles"),
    (
        "too many atoms",
        lambda: w2(Particles(plane(), np.zeros((2001, 2))), Particles(plane(), np.zeros((1, 2)))),
        Refused,
        "w2",
        "2001 atoms",
        "at most 2000",
    ),
    (
        "pieces of the plane",
        lambda: pieces(Particles(plane(), np.zeros((1, 2)))),
        Refused,
        "pieces",
        "2 axes",
        "need one",
    ),
    ("bare upwind step", lambda: stepped(C8, SAW, 1e3), StepTooLarge, "Upwind", "1000 is above", "pass dt <="),
    (
        "fixed point",
        lambda: stepped(ScharfetterGummel(8, limit=2), WARM, 9),
        NotConverged,
        "fixed p",
        "2 iter",
        "halve",
    ),
    ("tolerance tiny", lambda: solve(SAW, C8, tolerance=1e-99), NotConverged, "Upwind", "tolerance 1e-99", "raise it"),
    ("far step", far_relu, StepTooLarge, "GradientFlow", "dt = 4 is above", "pass dt <= "),
]

BUILD = [
    ("problem unknown", lambda: problems.build("sawtoth"), ValueError, "problem", "'sawtoth'", "mean 'sawtooth'"),
    ("parameter unknown", lambda: problems.build("sawtooth", horizn=3), ValueError, "saw", "'horizn'", "'horizon'"),
    ("parameter missing", lambda: problems.build("regression"), ValueError, "regression", "'csv'", "set it"),
    ("teacher unknown", lambda: short("circle_teacher", activation="relo"), ValueError, "activ", "'relo'", "known"),
    ("inputs of teacher", lambda: short("circle_teacher", inputs="disc"), ValueError, "inputs", "'disc'", "gaussian"),
    ("teacher below cold", lambda: short("circle_teacher", temperature=-1.0), ValueError, "temper", "-1", ">= 0"),
    ("modes too large", lambda: short("sawtooth", modes={1: 0.7, 2: 0.7}), ValueError, "modes", "1.4", "scale them"),
    ("mode 0", lambda: short("sawtooth", modes={0: 0.5}), ValueError, "modes", r"\{0: 0.5\}", "mode 0 is the mass"),
    ("mode 3/2", lambda: short("sawtooth", modes={1.5: 0.5}), TypeError, "modes", "1.5", "give e.g."),
    ("modes a list", lambda: short("sawtooth", modes=[0.5]), TypeError, "modes", r"\[0.5\]", "give e.g."),
    ("mode of nan", lambda: short("sawtooth", modes={1: NAN}), ValueError, r"modes\[1\]", "nan", "remove or replace"),
    ("radius 1", lambda: short("linear_neuron", r0=1.0), ValueError, "r0", r"1\.0", r"\[0, 1\)"),
    ("radius < 0", lambda: short("quadratic_neuron", r0=-0.1), ValueError, "r0", "-0.1", r"\[0, 1\)"),
    ("radius nan", lambda: short("linear_neuron", r0=NAN), ValueError, "r0", "nan", r"\[0, 1\)"),
    ("a 0", lambda: short("linear_neuron", a=0.0), ValueError, "a: ", r"0\.0", "above 0"),
    ("lam 0", lambda: short("ornstein_uhlenbeck", lam=0), ValueError, "lam", "0 is", "above 0"),
    ("std of start", lambda: short("ornstein_uhlenbeck", std=-1), ValueError, "std", "-1", "above 0"),
    ("mean of start", lambda: short("ornstein_uhlenbeck", mean=INF), ValueError, "mean", "inf", "remove or replace"),
    ("amplitude 2", lambda: short("heat_mode", amplitude=2), ValueError, "amplitude", "2 makes", "-1 to 1"),
    ("g 0", lambda: short("drift_diffusion", g=0.0), ValueError, "g: ", r"0\.0", "above 0"),
    ("start -1", lambda: short("drift_diffusion", start=-1), ValueError, "start", "-1", "start >= 0"),
    ("horizon -1", lambda: problems.build("heat_mode", horizon=-1), ValueError, "horizon", "-1", "above 0"),
]

TABLE = [
    *(GEOMETRY + MEASURES + LAWS + DATA + NEURONS),
    *(ENERGIES + FIELDS + FLOWS + KNOBS + SOLVE + DISTANCES + BUILD),
]


@pytest.mark.parametrize(("call", "error", "patterns"), [pytest.param(c, e, p, id=n) for n, c, e, *p in TABLE])
def test_wrong_use_is_refused_with_argument_value_and_remedy(call, error, patterns):
    """The call raises that exception, and its message contains the argument, the value and the remedy."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    missing = [p for p in patterns if not re.search(p, message)]
    assert not missing, f"{message!r} lacks {missing}"


CSV = [
    ("no such column", "a,b\n1,2\n", "'c'", "the header has a, b"),
    ("bad entry", "a,b,c\n1,2,3\n1,x,3\n", "line 3, column 'b': 'x'", "correct or remove"),
    ("infinite entry", "a,b,c\n1,inf,3\n", "line 2, column 'b': inf", "correct or remove"),
    ("nan entry", "a,b,c\n1,nan,3\n", "line 2, column 'b': nan", "correct or remove"),
    ("short row", "a,b,c\n1,2,3\n4,5\n", "line 3, column 'c': None", "correct or remove"),
    ("empty entry", "a,b,c\n1,,3\n", "line 2, column 'b': ''", "correct or remove"),
    ("after empty lines", "a,b,c\n1,2,3\n\n\n1,x,3\n", "line 5, column 'b': 'x'", "correct or remove"),
    ("two of a name", "a,b,c,b\n1,2,3,4\n", "2 columns are named 'b'", "rename all but one"),
    ("an underscore", "a,b,c\n1,2,1_0\n", "line 2, column 'c': '1_0'", "correct or remove"),
    ("digits of another script", "a,b,c\n1,\u0663,3\n", "line 2, column 'b': '\u0663'", "correct or remove"),
    ("no rows", "a,b,c\n", "no rows", "give at least one"),
    ("empty file", "", "no column 'a'", "the header has nothing"),
]


@pytest.mark.parametrize(("text", "value", "remedy"), [pytest.param(*row, id=name) for name, *row in CSV])
def test_a_bad_csv_file_is_refused_by_line_and_column(tmp_path, text, value, remedy):
    """The message names the file, the line and the column of the bad entry, and what to do."""
    file = tmp_path / "table.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"table\.csv: .*{re.escape(value)}.*{remedy}"):
        read_csv(file, ["a", "b"], "c")


def test_a_csv_file_of_another_encoding(tmp_path):
    """A byte order mark is no part of the first name; bytes that are not UTF-8 are refused by the file's name."""
    file = tmp_path / "table.csv"
    file.write_text("a,b\n1,2\n", encoding="utf-8-sig")
    assert read_csv(file, ["a"], "b").inputs.tolist() == [[1.0]]
    file.write_text("a,b,\xe9\n1,2,3\n", encoding="latin-1")
    with pytest.raises(ValueError, match=r"table\.csv: the byte 0xe9 is not UTF-8; save it"):
        read_csv(file, ["a"], "b")


def test_a_missing_csv_file_is_refused_by_its_path(tmp_path):
    """FileNotFoundError names the path and what it is relative to."""
    with pytest.raises(FileNotFoundError, match=r"absent\.csv' does not exist; paths .* relative"):
        read_csv(tmp_path / "absent.csv", ["a"], "b")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "inputs: no column"),
        (["a"], "inputs: column 0 has zero"),
        (["d"], "no column 'd'"),
        (["a", "b"], r"target: 'b' is one of the inputs too; take it out of inputs \['a', 'b'\]"),
        (["a", "d", "a"], r"inputs: 'a' is named twice in \['a', 'd', 'a'\]; name each column once"),
    ],
)
def test_regression_refuses_columns_it_cannot_learn_from(tmp_path, inputs, message):
    """No input, a constant one (zero variance cannot be standardised), an absent one, the target itself, one twice."""
    file = tmp_path / "table.csv"
    file.write_text("a,b\n" + "".join(f"1,{k}\n" for k in range(8)))
    with pytest.raises(ValueError, match=message):
        problems.build("regression", csv=str(file), inputs=inputs, target="b")


EXPLICIT = {
    "particles": (GradientFlow(50), "circle_teacher"),
    "upwind": (Upwind(64), "sawtooth"),
    "upwind, hot": (Upwind(64), "heat_mode"),
    "muscl": (Muscl(64), "linear_neuron"),
    "muscl, hot": (Muscl(40), "drift_diffusion"),
    "fourier": (Fourier(16), "quadratic_neuron"),
}


@pytest.mark.parametrize(("solver", "problem"), EXPLICIT.values(), ids=EXPLICIT)
def test_a_step_above_the_bound_is_refused_and_the_bound_it_names_works(solver, problem):
    """StepTooLarge names the largest dt allowed at the start, and one step of that very number is taken."""
    flow = problems.build(problem, horizon=100.0).flow
    with pytest.raises(StepTooLarge, match="above the largest stable step") as caught:
        solve(flow, solver, dt=1.1 * solver.largest_step(flow, solver.init(flow)))
    named = float(re.search(r"pass dt <= (\S+),", str(caught.value))[1])
    assert named > 0.98 * caught.value.largest
    assert solve(flow, solver, dt=named, until=named).steps == 1
