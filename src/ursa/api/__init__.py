"""The API core: HTTP, verbs, watch cache, tables, patches, access. The only user of the store."""
