"""Two VMs whose assessments are known word for word.

One is the VM of the recorded conversation (Azure/azure-powershell,
``TestPatchStatusGetAzVMInstanceview``), one that of the REST reference's example. The reference
gives no subscription and no operation times: the subscription is made up, the times are those of
its result.
"""

import json
from importlib import resources
from typing import Final

from localcloud.arm.catalogue import WINDOWS_2016, WINDOWS_2019
from localcloud.arm.model import Json, Region, Verbatim, Vm

RECORDED_SUBSCRIPTION: Final = "e37510d7-33b6-4676-886f-ee75bcc01871"
REFERENCE_SUBSCRIPTION: Final = "0f4f7a52-6c1d-4b8e-9a37-5d2e8c6b1f90"
_EASTUS: Final = Region("eastus", -240)


def _sample(name: str) -> Json:
    text = resources.files("localcloud.arm").joinpath("samples", name).read_text("utf-8")
    loaded: Json = json.loads(text)
    return loaded


def recorded_vm() -> Vm:
    """Returns the VM of the recorded conversation."""
    return Vm(
        subscription_id=RECORDED_SUBSCRIPTION,
        resource_group="crptestps418",
        name="vmcrptestps418",
        region=_EASTUS,
        image=WINDOWS_2016,
        vm_id="a4f3c5f0-7e64-4f4b-8d0e-6a2b8d1c9e57",
        behaviour="recorded",
        size="Standard_A1",
        time_created="2020-08-26T09:17:54.2168321-04:00",
        duration_seconds=665.5140403,
        verbatim=Verbatim(
            activity_id="14e074b4-2fd7-4d20-8b3b-5339add89570",
            result=_sample("recorded-result.json"),
            start_time="2020-08-26T09:22:19.8590728-04:00",
            end_time="2020-08-26T09:33:25.3731131-04:00",
            last_modified="2020-08-26T09:32:39.7389829-04:00",
        ),
    )


def reference_vm() -> Vm:
    """Returns the VM of the REST reference's example."""
    return Vm(
        subscription_id=REFERENCE_SUBSCRIPTION,
        resource_group="myResourceGroupName",
        name="myVMName",
        region=_EASTUS,
        image=WINDOWS_2019,
        vm_id="5c0d55a7-c407-4ed6-bf7d-ddb810267c85",
        behaviour="reference",
        time_created="2020-04-20T18:00:00.1234567Z",
        duration_seconds=1001.0,
        verbatim=Verbatim(
            activity_id="68f8b292-dfc2-4646-9781-33cc88631968",
            result=_sample("reference-result.json"),
            start_time="2020-04-24T21:02:04.2556154Z",
            end_time="2020-04-24T21:18:45.2830263Z",
            last_modified="2020-04-24T21:18:45.2830263Z",
        ),
    )
