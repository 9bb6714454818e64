"""How each library for HTTP shows its calls to the recorder: one module for each library."""
