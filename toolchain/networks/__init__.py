"""Opening, running and scoring networks: students, teachers, those that ship, users' own code."""
