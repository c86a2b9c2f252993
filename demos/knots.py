r"""Where does a wide ReLU network of one input bend once the noise of its training has died away?   Slides: none.

Claim: at most three places between two inputs, on the data or off them; three and two off the data do occur.  [derived]

    F(pi) = E (f_pi - y)^2/2 + (lam/2) int |(a, w, b)|^2 dpi + T int pi log pi,   f_pi(x) = int a relu(w x + b) dpi
    pi* ~ exp(-(a r M(phi) + lam (a^2 + r^2)/2)/T),  (w, b) = r (cos phi, sin phi): closed in a and r         [derived]
    f'' has the charges -2 T M h^2/int h, h = 1/(lam^2 - M^2): as T -> 0 they gather where |M| = lam          [derived]
    between two inputs M is one sinusoid a sign of w: it touches +-lam once inside, or at most at both ends   [derived]

"As noise vanishes: piecewise linear, at most three knots between consecutive inputs" is a theorem of [1]. [cited]
f_T is the minimiser itself, to rounding, with its gap: no network is trained. The problem at T = 0 is solved by itself.
"""

import numpy as np

from wflow import picture
from wflow.data import Data
from wflow.knots import Verdict, noisy_fit, peaks, three_on_closed, two_inside, verdict

# Problem
LAM, SHARES, MOST = 0.1, (0.1, 1e-2, 1e-3, 1e-4, 1e-5), 3
RNG = np.random.default_rng(7)
SETS = {"two inside": two_inside(LAM)[0], "three on [-2, 2]": three_on_closed(LAM)[0]}
SETS["random"] = Data(np.sort(RNG.uniform(-3, 3, 7))[:, None], 2 * RNG.standard_normal(7))
SETS["alternating"] = Data(np.arange(-3.0, 4.0)[:, None], 4.0 * (-1.0) ** np.arange(7))


# Solve
def runs() -> dict[str, Verdict]:
    return {name: verdict(data, LAM, SHARES) for name, data in SETS.items()}


# Check
def most(found: Verdict) -> int:
    """Knots on the closed interval that has most of them, at the lowest temperature and without noise."""
    return max(int(k.closed.max()) for k in (found.found[-1], found.known))


# Picture: f_T and |f''| for falling T over the data with three knots on [-2, 2]; the most knots an interval by T


# What would refute this
def refutation(limit: int = MOST) -> tuple[bool, float, float]:
    """An interval with more knots than `limit`, or counts at the lowest T that are not those without noise."""
    found = runs().values()
    value = max(most(v) for v in found) if all(v.agrees for v in found) else np.inf
    print(f"refuted: {'yes' if value > limit else 'no'} ({value}, {limit})")
    return value > limit, value, limit


# Exercise: two charges of size 1 sit off the data, in "two inside". How wide is a knot (in angle) at T = 1e-6?
def exercise() -> tuple[float, float]:
    found = peaks(noisy_fit(SETS["two inside"], LAM, 1e-6))
    return float(np.sqrt(1e-6 / (2 * LAM))), float(found.widths[np.argmax(np.abs(found.charges))])


if __name__ == "__main__":
    done = runs()
    for name, found in done.items():
        print(f"{name}: {found}")
        print(
            "    knots without noise:", np.round(found.known.places, 4), "coldest:", np.round(found.found[-1].places, 4)
        )
    print(picture.save(picture.knots(done["three on [-2, 2]"]), "results/demos/knots.png"))
    refutation()
    print("exercise: predicted {:.6f}, measured {:.6f}".format(*exercise()))

# References: [1] Shevchenko, Kungurtsev & Mondelli 2022, JMLR 23(130), arXiv:2111.02278 (abstract). [2] Pilanci & Ergen
# 2020, ICML, arXiv:2002.10553 (cones). [3] Hu, Ren, Siska & Szpruch 2021, AIHP 57(4).    Next lesson: symmetries.py
