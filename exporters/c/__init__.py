"""C99 of a network: rows that stream through, or timesteps; integers only, exact; built and run as a backend."""
