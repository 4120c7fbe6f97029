"""C99 of a network: rows that stream through, or timesteps; exact integers; built and run as a backend."""
