"""Parts of `hkd.py`: which runs there are, running them, and what their scores say."""
