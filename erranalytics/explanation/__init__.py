"""One text, code or log: what it means, what to do, and a rule for what nobody knew."""
