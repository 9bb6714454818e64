"""The DuckDB file: open it, bring its schema up to date, write frames to it, query it."""
