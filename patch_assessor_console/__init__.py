"""The console: a page on this machine that shows the fleet and the system at work.

It reads what the app publishes and stores, as any other client does: the topics, the posture table,
the counts of the entities, and traces where there is a collector. The app knows nothing of it.

    model     what is shown, as frozen data and pure functions of it
    readers   where it comes from, and what can be asked for
    memory    what was read, kept together
    page      how it is shown
"""
