"""Our NIR files: the lowering to a graph, the file, its checks, its independent interpreter."""
