"""C99 of a network: rows stream through, integers only, exact; built and run as a backend."""
