"""Optimal transport with a spline as its potential: one dual for W2 on grids and for JKO steps, and how to maximise it.

Needs numba (the extra `fast`); asked for with wflow.compiled.available().
"""
