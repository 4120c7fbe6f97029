"""Parts of `results.py`: what is scored on which sets, and the pages and pictures of it."""
