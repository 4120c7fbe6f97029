"""Files of ours: written whole or not at all, read by schema, known as our own, swept when left behind."""
