"""Ursa Major: one API for virtual machines, containers and functions, for many tenants."""
