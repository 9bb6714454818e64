"""Results as tables, files and pages."""
