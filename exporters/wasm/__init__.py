"""WebAssembly of a network: the C of exporters/c compiled for pages and node, with a module that calls it."""
