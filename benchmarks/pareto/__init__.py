"""Parts of `frontier.py`: the shapes that are trained, and the page of what they reach."""
