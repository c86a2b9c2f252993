"""Multilayer networks and their limits."""
