"""Parts of `statements.py`: extracts of energy reports, and texts whose numbers come from them."""
