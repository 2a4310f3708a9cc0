"""
The engine: everything that runs.

::

    data ──▶ source ──▶ stage ──▶ stage ──▶ batch stage ──▶ stage ──▶ hand-off ──▶ consumer
             │◀────────── a chain ────────▶│◀────────── a chain ────────▶│
             │◀────────────────────── one window of places ─────────────▶│

A *slot* (:mod:`.sequence`) carries an item from the source through the stages. The stages
(:mod:`.stage`, :mod:`.batch_stage`) are pools of workers (:mod:`.workers`) that take a slot, make a
call (:mod:`.call`, let in by :mod:`.admission`) and hand the slot on, straight into the next queue;
order is restored at the end of each *chain*. The window (:mod:`.window`) bounds what a run holds
and is the only thing that anyone ever waits for on the way down. A run (:mod:`.run`) owns it all:
one task group, one record of the first failure, one ledger (:mod:`.ledger`). It is wired up
(:mod:`.wiring`) from plans, and :mod:`.host` is the only module that knows the event loop.

An item that has failed for good goes where :mod:`.routing` lets it; in a run of outcomes, past
the stages that follow (:mod:`.bypass`).

Shutdown, whatever the reason (end, failure, consumer gone, cancelled from outside):

1. ``stopping`` is set: queues are emptied, no further call starts.
2. Who waits for room is woken and leaves: generators are closed, and the source closes its data
   uncancelled. If it is blocked inside its data, it is cancelled there.
3. The run's cancel scope is cancelled: idle workers and calls in flight end.
4. The task group joins them all.
5. On a natural end the ledger is checked.
6. The consumer is woken: it takes what was ready, then learns the outcome.

Draining (:mod:`.draining`) is no shutdown: the source takes step 2 alone, and the rest is a run
whose data has ended.
"""
