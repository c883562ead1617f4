"""Generated from proto/*.proto by tools/proto; do not edit."""
