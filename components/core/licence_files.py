"""Which files of a checkpoint are licence texts."""

LICENCE_FILES = ("LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*")
"""Patterns of names: texts that must stay with weights, and with whatever is made of them."""
