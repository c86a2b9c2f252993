"""Minimising movements of a tabulated energy: functions replaced by their interpolants by hats from the cells' centres.

Needs numba (the extra `fast`); asked for with wflow.compiled.available().
"""
