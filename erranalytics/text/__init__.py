"""Helpers for text: search for words and patterns, and show values to people."""
