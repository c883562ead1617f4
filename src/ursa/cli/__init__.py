"""The `ursa` command, one file per noun. No logic: commands connect people to the packages."""
