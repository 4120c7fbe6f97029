"""The Loihi-style bundle: plan, specifications, limits, range proof, chips."""
