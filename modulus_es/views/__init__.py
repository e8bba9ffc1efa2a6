"""What a system did, as tables and pictures.

The views take plain rows and know nothing of a running system; the system knows
how to feed them. pandas, networkx and matplotlib are imported when the first
table, layout or figure is made.
"""
