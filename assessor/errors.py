"""The root of what goes wrong for a while outside of the app."""


class UnavailableError(Exception):
    """A service that the app depends on did not do what it was asked: it is asked again later.

        UnavailableError
        ├─ PublishError      Service Bus did not take a message
        ├─ PostureError      the table of postures did not answer
        │  └─ PostureConflictError
        ├─ ScanStoreError    the table of scans did not answer
        └─ DeletionUnclearError  ARM does not tell whether a VM is gone

    ARM's own are ArmError (assessor.arm.errors), for there the answer decides what is done.
    """
