"""The same work done by others. What is not installed is skipped, and said so."""
