"""Compute: controllers, scheduler, node agent and VM runtime; they meet at the API server."""
