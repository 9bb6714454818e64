"""Short helpers for text: look for words and patterns, and show values to people."""
