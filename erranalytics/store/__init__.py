"""The DuckDB file: open it, bring its schema up to date, put frames into it, ask it."""
