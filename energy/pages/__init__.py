"""The audit for people: HTML, charts, terminal tables."""
