r"""Does the mean-field picture survive measured data: a few columns, few rows, noise?   Slides: MF scaling, (0.4).

Claim: on 100 measured rows a density on (w, b) and finite networks follow one flow, and both learn rows not shown.

    f_pi(x) = int a tanh(w x + b) dpi,    F = mean (f_pi - y)^2 / 2 on the rows to learn                       [derived]
    two sheets:  a = +-A stays,  pi = (pi_+ + pi_-) / 2 on (w, b):   d_t pi = div(pi grad V)                   [derived]
    m particles begin m^(-1/2) from pi in W2 (two axes move) and stay as near for short times                  [cited]
    sigma odd but for a constant:  psi(-w) = psi(w) + const,  so pi_- stays pi_+ turned about 0                [proved]
    rows held out:  mean (f_pi - y)^2 / 2 below that of the best constant                                     [measured]

A motorcycle's impact (time -> acceleration) by cells and by particles; earthquakes near Fiji (place -> depth) by
particles. W2 is known up to the floor of gathering cells into 2000 atoms.
"""

from functools import cache
from pathlib import Path

from solvers.finite_volume import Muscl
from solvers.particles import GradientFlow, Sampled
from wflow import Trajectory, picture, problems, solve, w2
from wflow.certificates import generalises
from wflow.transport import w2_floor

# Problem (demos/data/README.md says whose the data are)
DATA, TIMES = Path(__file__).parent / "data", (0.1, 1.0)
IMPACT, NAMES = (f"{DATA}/motorcycle.csv", ["time_ms"], "acceleration_g"), ("erf", "relu", "sigmoid", "tanh")
FIXED = problems.regression(*IMPACT, sheets=20.0, reach=12.0, horizon=2.0)
FREE = problems.regression(*IMPACT, horizon=80.0)
QUAKES = problems.regression(f"{DATA}/fiji.csv", ["longitude_deg", "latitude_deg"], "depth_km", horizon=40.0)


# Solve
@cache
def pair(t: float, clock: float = 1.0) -> tuple[Trajectory, Trajectory]:
    """Cells until t, particles until clock t."""
    return solve(FIXED.flow, Muscl(56), until=t), solve(FIXED.flow, GradientFlow(300), until=clock * t, dt=0.02)


# Check
def apart(t: float, clock: float = 1.0) -> float:
    return w2(*(run.final for run in pair(t, clock)))


# Picture: the fits in the units of the table, both sheets with the particles on top, the surface of depths


# What would refute this
def refutation(clock: float = 1.0) -> tuple[bool, float, float]:
    """Cells and particles are more than 15 % further apart at t = 0.1 than at the start."""
    value, limit = apart(0.1, clock) / w2(*(run.measures[0] for run in pair(0.1, clock))), 1.15
    print(f"refuted: {'yes' if value > limit else 'no'} ({value:.3f}, {limit})")
    return value > limit, value, limit


# Exercise: one sheet is the other, turned about 0. For which of erf, relu, sigmoid and tanh? (sigma - sigma(0) is odd.)
def exercise() -> tuple[list[str], list[str]]:
    flows = {n: problems.regression(*IMPACT, n, sheets=20.0, reach=12.0).flow for n in NAMES}
    sheets = {n: solve(flow, Muscl(32), until=0.1).final.values.reshape(2, -1) for n, flow in flows.items()}
    return ["erf", "sigmoid", "tanh"], [n for n, (low, up) in sheets.items() if abs(low - up[::-1]).max() < 1e-9]


if __name__ == "__main__":
    for t in TIMES:
        print(f"t = {t}: W2(cells, particles) {apart(t):.3f}, floor {w2_floor(*(run.final for run in pair(t))):.3f}")
    runs = dict(zip(("cells, a = +-20", "particles, a = +-20"), pair(TIMES[-1]), strict=True))
    runs["a trained too"] = solve(FREE.flow, GradientFlow(200, Sampled(1)), steps=150)
    quakes = solve(QUAKES.flow, GradientFlow(50, Sampled(1)), steps=120)
    for name, end in {**runs, "Fiji": quakes}.items():
        row = next(generalises(QUAKES if end is quakes else FIXED, end))
        print(f"{name:21} F {end.energies[-1]:.3f}, held out {row.measured:.3f}, best constant {row.expected:.3f}")
    figures = {"": picture.fit(FIXED.flow.energy.risk.data, runs, FIXED.held_out, FIXED.columns)}
    surface = picture.surface(QUAKES.flow.energy.risk.data, quakes, QUAKES.held_out, QUAKES.columns)
    figures |= {"_sheets": picture.maps(*pair(TIMES[-1])), "_surface": surface}
    print(*(picture.save(figure, f"results/demos/measured_data{name}.png") for name, figure in figures.items()))
    refutation()
    print("exercise: predicted {}, found {}".format(*exercise()))

# References: [1] Silverman 1985, J. R. Stat. Soc. B 47(1) (the impact). [2] Mei, Montanari & Nguyen 2018, PNAS 115(33).
# [3] Fournier & Guillin 2015, Probab. Theory Relat. Fields 162 (rates of W2).    Next lesson: sphere_neurons.py
