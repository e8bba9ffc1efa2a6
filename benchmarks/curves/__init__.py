"""How cost grows with what is there already, as curves."""
