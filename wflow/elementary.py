"""This file owns exp, expm1, tanh, log, log1p, erf, cos and sin as straight lines that become vector code.

numba calls the C library for its own, one number at a time. Here an argument is reduced, put into a polynomial and
scaled by the bits of its exponent, without a branch or a table. Relative errors, measured by the tests over the whole
range: exp, expm1, tanh, log below 1e-15. NaN stays NaN. Importing this file imports numba.
"""

import math

import numpy as np

from wflow.compiled import in_order

_LOG2E = 1.0 / math.log(2.0)
# ln 2 in two parts, the first short enough that its product with an exponent is exact
_LN2_HIGH = float.fromhex("0x1.62e42feep-1")
_LN2_LOW = 1.90821492927058770002e-10
# adding 1.5 2^52 puts a small whole number into the lowest bits
_SHIFT = 6755399441055744.0
_ONE = 1023 << 52
_HALF_ROOT = int(np.float64(math.sqrt(0.5)).view(np.int64))
_SHIFT_BITS = int(np.float64(_SHIFT).view(np.int64))

# log(1 + u) = 2 s sum_k s^2k / (2k + 1), s = u/(2 + u) <= 1/3: the first term left out is 2e-17
_L = tuple(2.0 / (2 * k + 1) for k in range(16))
# cos and sin on |r| <= pi/2: the first terms left out are 2e-17 and 1e-18
_COS = tuple((-1.0) ** k / math.factorial(2 * k) for k in range(11))
_SIN = tuple((-1.0) ** k / math.factorial(2 * k + 1) for k in range(11))
# pi in parts of 33 bits, products with k < 2^20 exact
_PI_1 = float.fromhex("0x1.921fb544p+1")
_PI_2 = float.fromhex("0x1.0b4611a6p-33")
_PI_3 = float.fromhex("0x1.3198a2e037073p-68")
FARTHEST_ANGLE = 1e6
"""Beyond it cos and sin lose digits."""

# Chebyshev interpolants, made with 40 digits and written as polynomials:
# (e^r - 1 - r)/r^2 in r, |r| <= ln 2 / 2, of degree 9: e^r - 1 errs by 4e-17 of itself
_E = (
    0.5000000000000001, 0.16666666666666669, 0.041666666666624164, 0.008333333333330065, 0.0013888888917196719,
    0.00019841269863040545, 2.4801521322368428e-05, 2.755726848030982e-06, 2.7620075880109014e-07,
    2.510037583265786e-08,
)  # fmt: skip
# (2^r - 1)/r in r, |r| <= 1/2, of degree 10: errs by 2e-17 of itself
_TWO = (
    0.6931471805599453, 0.24022650695910097, 0.0555041086648216, 0.009618129107606888, 0.0013333558146416936,
    0.0001540353044173605, 1.525273382983612e-05, 1.3215442587912514e-06, 1.017806244584568e-07, 7.0725859493046135e-09,
    4.454960598205382e-10,
)  # fmt: skip
# erf(x)/x in x^2, |x| <= 1, of degree 12
_ERF = (
    1.1283791670955126, -0.3761263890318375, 0.11283791670954879, -0.026866170645076792, 0.0052239776248180145,
    -0.000854832698083379, 0.0001205533111164271, -1.4925595266831182e-05, 1.6461000484121368e-06,
    -1.6350312701054695e-07, 1.4659775274047436e-08, -1.1372848856791674e-09, 5.957176147748911e-11,
)  # fmt: skip
# (1 + 2x) e^{x^2} erfc(x) in t = (x - 3.75)/(x + 3.75), x >= 0, of degree 22 (the variable of Shepherd & Laframboise
# 1981, Math. Comp. 36, 249-253)
_ERFC = (
    1.2375126308378275, -0.14024059858554522, 0.0035854154854663067, 0.08227673848999159, -0.10880393014193915,
    0.09230432116435616, -0.058693398584491845, 0.028362277371370044, -0.00974657962081509, 0.0017556261692276722,
    0.00029371408777227685, -0.0002901553656394713, 5.164737123871838e-05, 2.238759272534769e-05,
    -1.143961526007595e-05, -9.79297529099823e-07, 1.7438577411359181e-06, -5.0816911811698186e-08,
    -2.4996538037405243e-07, 1.8778501156468795e-08, 3.256499083798513e-08, -1.952790162974837e-09,
    -2.7293941332533855e-09,
)  # fmt: skip
_MIDDLE = 3.75


@in_order
def _two_to(k: float, one: int = _ONE) -> float:
    """2^k for a whole number -1022 <= k <= 1023; `one`: the bits of what 2^0 shall be."""
    bits = np.int64(np.float64(k + _SHIFT).view(np.int64) << 52) + one
    return np.float64(np.int64(bits).view(np.float64))


@in_order
def _polynomial(coefficients: tuple[float, ...], x: float) -> float:
    """sum_k c_k x^k by Horner's rule. At most 12 coefficients: the compiler unrolls no longer loop."""
    p = 0.0
    for c in coefficients[::-1]:
        p = p * x + c
    return p


@in_order
def _long_polynomial(low: tuple[float, ...], high: tuple[float, ...], x: float) -> float:
    """Twelve coefficients, then at most twelve more."""
    x4 = (x * x) * (x * x)
    return _polynomial(low, x) + x4 * x4 * x4 * _polynomial(high, x)


@in_order
def _reduced(x: float) -> tuple[float, float]:
    """A whole number k and e^r - 1 with x = k ln 2 + r, |r| <= ln 2 / 2."""
    k = np.rint(x * _LOG2E)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    p = _polynomial(_E, r)
    return k, r + r * r * p


@in_order
def exp(x: float) -> float:
    """e^x; beyond the range of doubles 0 or inf. Its subnormal numbers are rounded once."""
    x = -746.0 if x < -746.0 else x
    x = 710.0 if x > 710.0 else x
    k, e = _reduced(x)
    half = np.rint(0.5 * k)
    return (1.0 + e) * _two_to(half) * _two_to(k - half)


@in_order
def _half_expm1(k: float, e: float) -> float:
    """(e^x - 1)/2 from k <= 1024 and e: with the half no power of two overflows before the result does."""
    half = _two_to(k, _ONE - (1 << 52))
    return half * e + (half - 0.5)


@in_order
def expm1(x: float) -> float:
    """e^x - 1."""
    x = -50.0 if x < -50.0 else x
    x = 710.0 if x > 710.0 else x
    k, e = _reduced(x)
    # half of the smallest number would be lost
    return e if k == 0.0 else 2.0 * _half_expm1(k, e)


@in_order
def tanh(z: float, scale: float = 1.0) -> float:
    """tanh(scale z) = h/(h + 1), h = (2^y - 1)/2 with y = 2 |scale z| / ln 2, and its sign: odd to the last bit.

    The rounding of y is an error of e^{2|z|} that grows with z, and one of tanh z that does not.
    """
    y = abs(z * (2.0 * _LOG2E * scale))
    y = 64.0 if y > 64.0 else y
    k = np.rint(y)
    r = y - k
    h = _half_expm1(k, r * _polynomial(_TWO, r))
    return math.copysign(h / (h + 1.0), z * scale)


@in_order
def log1p_unit(u: float) -> float:
    """log(1 + u) for 0 <= u <= 1."""
    s = u / (2.0 + u)
    return s * _long_polynomial(_L[:12], _L[12:], s * s)


@in_order
def log_unit(u: float) -> float:
    """log u for 1e-300 <= u <= 1: u = 2^k m, 2^(-1/2) <= m < 2^(1/2), and log m = 2 s sum s^2j/(2j + 1), |s| < .172."""
    bits = np.float64(u).view(np.int64)
    k = (bits - _HALF_ROOT) >> 52
    m = np.float64(np.int64(bits - (k << 52)).view(np.float64))
    # k as a double: the machine may have no vector instruction for that
    whole = np.float64(np.int64(k + _SHIFT_BITS).view(np.float64)) - _SHIFT
    s = (m - 1.0) / (m + 1.0)
    return whole * math.log(2.0) + s * _polynomial(_L[:11], s * s)


@in_order
def erfcx_above(x: float) -> float:
    """e^{x^2} erfc x for x >= 0."""
    t = (x - _MIDDLE) / (x + _MIDDLE)
    return _long_polynomial(_ERFC[:12], _ERFC[12:], t) / (1.0 + 2.0 * x)


@in_order
def erf(z: float) -> float:
    """erf z: its series for |z| <= 1, 1 - erfc |z| beyond, with the sign of z."""
    a = abs(z)
    near = min(a, 1.0)
    p = _long_polynomial(_ERF[:12], _ERF[12:], near * near)
    # erfc(6) is below half a unit in the last place of 1, and inf/inf is not met
    x = 6.0 if a > 6.0 else a
    far = 1.0 - exp(-x * x) * erfcx_above(x)
    return math.copysign(near * p if a <= 1.0 else far, z)


@in_order
def _half_turns(z: float) -> tuple[float, float]:
    """(-1)^k and r with z = k pi + r, |r| <= pi/2."""
    k = np.rint(z / math.pi)
    r = ((z - k * _PI_1) - k * _PI_2) - k * _PI_3
    return 1.0 - 2.0 * abs(k - 2.0 * np.rint(0.5 * k)), r


@in_order
def cos(z: float) -> float:
    """cos z to an absolute error of some 1e-16, |z| <= FARTHEST_ANGLE."""
    sign, r = _half_turns(z)
    p = _polynomial(_COS, r * r)
    return sign * p


@in_order
def sin(z: float) -> float:
    """sin z to an absolute error of some 1e-16, |z| <= FARTHEST_ANGLE."""
    sign, r = _half_turns(z)
    p = _polynomial(_SIN, r * r)
    return sign * r * p
