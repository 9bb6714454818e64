"""Records of clients → CALLS: what a program saw of its calls to models."""
