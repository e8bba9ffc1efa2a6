"""Transports: how a message gets from one module to the others."""
