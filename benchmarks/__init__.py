"""What modulus_es costs, measured beside its peers and the limits in one run: `make bench`."""
