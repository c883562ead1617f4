"""The controller manager: each controller is a pure `plan` and a thin `reconcile`."""
