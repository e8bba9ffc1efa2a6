"""The live views: what ``explore()`` shows in a notebook.

They need the packages of the extra ``notebook``. Nothing here is imported before
somebody explores, and nothing in here is known to the core.
"""
