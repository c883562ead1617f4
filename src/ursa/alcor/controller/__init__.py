"""Alcor's controller: from Vpc, Subnet and Port objects to what each node must forward.

    Listers ─▶ reconcile ─▶ ledger (addresses) ─▶ status, durable ─▶ world ─▶ touched rows
                                                                              │
                             Port Active ◀── acknowledgement ◀── session ◀────┘ one per node

Everything but the sessions' streams and the status writes is pure. Nothing is stored but the
objects' status: a controller that starts reads them all before it answers any node.
"""
