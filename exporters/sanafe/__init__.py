"""SANA-FE's chip simulator in an interpreter of its own."""
