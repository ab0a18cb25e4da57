"""Slow and obvious versions of fast algorithms, which the fast ones must agree with."""

import math
from fractions import Fraction

from scipy.optimize import brentq
from scipy.special import log_ndtr

from models.randomness import Entropy


def uniform_below(limit: int, entropy: Entropy) -> int:
    """Give an exactly uniform integer below `limit`, by rejection from whole bytes."""
    size = (limit.bit_length() + 7) // 8
    while True:
        value = int.from_bytes(entropy.token(size), "big")
        if value < 256**size // limit * limit:
            return value % limit


def exp_bernoulli(gamma: Fraction, entropy: Entropy) -> bool:
    """Give true with probability exp(-gamma): Canonne, Kamath, Steinke (2020), algorithm 1."""
    while gamma > 1:
        if not exp_bernoulli(Fraction(1), entropy):
            return False
        gamma -= 1
    turn = 1
    while uniform_below((gamma / turn).denominator, entropy) < (gamma / turn).numerator:
        turn += 1
    return turn % 2 == 1


def discrete_laplace(scale: int, entropy: Entropy) -> int:
    """Give x with P(x) ∝ exp(-|x|/scale): algorithm 2."""
    while True:
        rest = uniform_below(scale, entropy)
        if not exp_bernoulli(Fraction(rest, scale), entropy):
            continue
        times = 0
        while exp_bernoulli(Fraction(1), entropy):
            times += 1
        negative = uniform_below(2, entropy) == 1
        size = rest + scale * times
        if not (negative and size == 0):
            return -size if negative else size


def discrete_gaussian(scale: int, entropy: Entropy) -> int:
    """Give one draw of N_Z(0, scale²): algorithm 3, with the paper's t = floor(scale) + 1."""
    t = scale + 1
    while True:
        found = discrete_laplace(t, entropy)
        gamma = (abs(found) - Fraction(scale**2, t)) ** 2 / Fraction(2 * scale**2)
        if exp_bernoulli(gamma, entropy):
            return found


def gaussian_delta(epsilon: float, mu: float) -> float:
    """Give δ(ε) of the Gaussian mechanism with sensitivity / deviation μ (Balle, Wang 2018)."""
    first = log_ndtr(-epsilon / mu + mu / 2)
    second = epsilon + log_ndtr(-epsilon / mu - mu / 2)
    return float(math.exp(first) - math.exp(second))


def gaussian_epsilon(delta: float, mu: float) -> float:
    """Give ε(δ) of the same, by root finding."""
    if gaussian_delta(0.0, mu) <= delta:
        return 0.0
    return float(brentq(lambda e: gaussian_delta(e, mu) - delta, 0, 1000, xtol=1e-13))
