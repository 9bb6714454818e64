"""From an input to rows in the store: each record exactly once."""
