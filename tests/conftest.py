"""What every test shares."""

from __future__ import annotations

from hypothesis import settings

# A slow, busy machine is not a failure of the code under test.
settings.register_profile("modulus_es", deadline=None, print_blob=True)
settings.load_profile("modulus_es")
