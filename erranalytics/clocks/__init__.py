"""Stamps of records and wrappers → moments in UTC."""
