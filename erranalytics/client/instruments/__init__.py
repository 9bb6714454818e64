"""How each HTTP library shows its calls to the recorder: one module for each library."""
