"""ARM's own limits over Compute's, and whose bucket a call draws on."""

from localcloud.arm.buckets import DOCUMENTED, FRONT_DOOR, Buckets, Subject
from localcloud.arm.clock import TICKS_PER_SECOND
from localcloud.arm.routing import Kind

SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
APP = Subject(SUBSCRIPTION, "eastus", "vm-1", "app")


class Time:
    """Ticks that the test moves."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * TICKS_PER_SECOND)


def spent(buckets: Buckets, kind: Kind, subject: Subject) -> int:
    """How many calls pass before one is refused."""
    passed = 0
    while buckets.take(kind, subject) is None:
        passed += 1
    return passed


def test_reads_of_all_kinds_draw_on_one_bucket_of_250_that_25_a_second_refill() -> None:
    """Polls of operations, reads of VMs and lists are all reads of the subscription."""
    time = Time()
    door = Buckets(FRONT_DOOR, time, enforce=True)
    assert spent(door, Kind.OPERATION, APP) == 250
    assert door.take(Kind.GET_VM, APP) is not None
    assert door.left(Kind.LIST_SUBSCRIPTION, APP) == 0
    time.sleep(2)
    assert spent(door, Kind.GET_VM, APP) == 50
    refused = door.take(Kind.GET_VM, APP)
    assert refused is not None
    assert refused.wait_seconds == 1 / 25


def test_a_begin_is_a_write_of_200_that_10_a_second_refill() -> None:
    """Reads leave it alone."""
    time = Time()
    door = Buckets(FRONT_DOOR, time, enforce=True)
    assert spent(door, Kind.OPERATION, APP) == 250
    assert spent(door, Kind.ASSESS, APP) == 200
    time.sleep(1)
    assert spent(door, Kind.ASSESS, APP) == 10


def test_each_principal_and_subscription_has_buckets_of_its_own_over_all_regions() -> None:
    """What another identity does is not this one's loss; another region is the same bucket."""
    door = Buckets(FRONT_DOOR, Time(), enforce=True)
    assert spent(door, Kind.OPERATION, APP) == 250
    assert door.take(Kind.OPERATION, Subject(SUBSCRIPTION, "westus2", "vm-2", "app")) is not None
    assert door.take(Kind.OPERATION, Subject(SUBSCRIPTION, "eastus", "vm-1", "other")) is None
    assert door.take(Kind.OPERATION, Subject("another", "eastus", "vm-1", "app")) is None


def test_getoperation_belongs_to_a_subscription_and_region() -> None:
    """15,000 in each region, 45 for each VM."""
    compute = Buckets(DOCUMENTED, Time(), enforce=True)
    for number in range(15_000):
        vm = Subject(SUBSCRIPTION, "eastus", f"vm-{number}", "app")
        assert compute.take(Kind.OPERATION, vm) is None
    one_more = Subject(SUBSCRIPTION, "eastus", "vm-x", "app")
    refused = compute.take(Kind.LOCATION, one_more)
    assert refused is not None
    assert refused.policy.name == "GetOperationSubscriptionMaximum"
    elsewhere = Subject(SUBSCRIPTION, "westus2", "vm-y", "app")
    assert spent(compute, Kind.OPERATION, elsewhere) == 45
