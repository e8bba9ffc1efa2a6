"""Every fault that needs no server, injected for real, each beside a control that must fail.

``python -m benchmarks.faults`` runs the scenarios in full and writes docs/reliability.md,
``--short`` a short form of them, and writes nothing.
"""
