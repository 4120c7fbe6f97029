"""Holding exports against independent implementations, bit for bit."""
