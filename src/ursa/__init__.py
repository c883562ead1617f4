"""Ursa Major: one API for virtual machines and containers, for many tenants."""
