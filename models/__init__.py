"""Networks: topologies, neurons, teachers, the integer network."""
