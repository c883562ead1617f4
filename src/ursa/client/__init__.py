"""The client of the API server: Client, Lister, Recorder."""
