"""Implicit bias of relu networks that are not mean-field: closed risks, scalings, random features, diagnostics."""
