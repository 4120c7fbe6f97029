"""Parts of `ship_students.py`: the recipes of the students that ship, and the figures of their cards."""
