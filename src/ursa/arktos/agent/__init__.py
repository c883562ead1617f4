"""The unified node agent: each pod is one task that brings its runtimes to what the API wants."""
