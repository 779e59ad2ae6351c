"""The control surface: what a test or a person may ask of the local ARM that Azure has not.

``GET /calls``, ``GET /fleet``, ``GET /buckets``, ``GET|POST|DELETE /faults``,
``POST /vms{resourceId}/patches`` and ``DELETE /vms{resourceId}``.
``POST /vms{resourceId}/installations`` begins installPatches, for ``durationSeconds``;
``POST /vms{resourceId}/guest-assessments`` has the VM tell of an assessment of its own with
``status``, begun ``secondsAgo``. Both answer the ``activityId``, and say 409 where ARM
would. Plain HTTP on its own port, without authentication, on 127.0.0.1 only.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from json import JSONDecodeError

from aiohttp import web

from dotnet_text import ignoring_case
from localcloud.arm.buckets import Buckets
from localcloud.arm.calls import CallLog
from localcloud.arm.cloud import Cloud
from localcloud.arm.errors import ArmError
from localcloud.arm.faults import FaultError, FaultPlan, parse_rules
from localcloud.arm.fleet import MissingVm
from localcloud.arm.model import Json, Vm
from localcloud.arm.scenario import ScenarioError, apply, parse_change
from localcloud.guard import programs_only

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class ArmControl:
    """Serves the control surface of one cloud; ``missing`` are VMs only talked about."""

    cloud: Cloud
    faults: FaultPlan
    calls: CallLog
    missing: tuple[MissingVm, ...] = ()
    buckets: tuple[Buckets, ...] = ()

    def application(self) -> web.Application:
        """Returns the web application."""
        application = web.Application(middlewares=[programs_only, _explain])
        router = application.router
        router.add_get("/calls", self._calls)
        router.add_get("/fleet", self._fleet)
        router.add_get("/buckets", self._levels)
        router.add_get("/faults", self._list_faults)
        router.add_post("/faults", self._add_faults)
        router.add_delete("/faults", self._clear_faults)
        router.add_post("/vms{id:/.+}/patches", self._change)
        router.add_post("/vms{id:/.+}/installations", self._install)
        router.add_post("/vms{id:/.+}/guest-assessments", self._tell_from_guest)
        router.add_delete("/vms{id:/.+}", self._delete)
        return application

    async def _calls(self, _: web.Request) -> web.Response:
        return web.json_response(self.calls.as_json())

    async def _fleet(self, _: web.Request) -> web.Response:
        vms = [self._entry(vm) for vm in self.cloud.vms.values()]
        missing = [vm.as_json() for vm in self.missing]
        return web.json_response({"vms": vms, "missing": missing})

    async def _levels(self, _: web.Request) -> web.Response:
        levels = [each for buckets in self.buckets for each in buckets.levels()]
        return web.json_response(
            [
                {
                    "policy": each.policy.name,
                    "per": each.policy.per.value,
                    "subject": each.key,
                    "capacity": each.policy.capacity,
                    "level": each.level,
                    "perMinute": each.policy.per_minute,
                }
                for each in levels
            ]
        )

    async def _list_faults(self, _: web.Request) -> web.Response:
        return web.json_response({"used": self.faults.used()})

    async def _add_faults(self, request: web.Request) -> web.Response:
        self.faults.add(parse_rules(await request.json()))
        return web.json_response({"used": self.faults.used()}, status=201)

    async def _clear_faults(self, _: web.Request) -> web.Response:
        self.faults.clear()
        return web.Response(status=204)

    async def _change(self, request: web.Request) -> web.Response:
        document = await _object(request)
        vm = self._vm(request)
        changed = apply(vm, parse_change(document, vm))
        self.cloud.replace(changed)
        return web.json_response(self._entry(changed))

    async def _install(self, request: web.Request) -> web.Response:
        vm, document = self._vm(request), await _object(request)
        duration = _number(document, "durationSeconds", vm.duration_seconds)
        begun = self.cloud.begin_installation(vm, duration)
        return web.json_response({"activityId": begun.name}, status=201)

    async def _tell_from_guest(self, request: web.Request) -> web.Response:
        vm, document = self._vm(request), await _object(request)
        status = document.get("status", "Succeeded")
        if not isinstance(status, str):
            raise ScenarioError("status", "must be a text")
        told = self.cloud.tell_from_guest(vm, status, _number(document, "secondsAgo", 0.0))
        return web.json_response({"activityId": told.activity_id}, status=201)

    async def _delete(self, request: web.Request) -> web.Response:
        self.cloud.delete(self._vm(request))
        return web.Response(status=204)

    def _vm(self, request: web.Request) -> Vm:
        vm = self.cloud.vms.get(ignoring_case(request.match_info["id"]))
        if vm is None:
            body = json.dumps({"field": "id", "error": "no such VM"})
            raise web.HTTPNotFound(text=body, content_type="application/json")
        return vm

    def _entry(self, vm: Vm) -> Json:
        grave, other = vm.assessment.counts()
        if vm.verbatim is not None:
            grave = vm.verbatim.result["criticalAndSecurityPatchCount"]
            other = vm.verbatim.result["otherPatchCount"]
        return {
            "id": vm.id,
            "location": vm.region.name,
            "osType": vm.image.os_type,
            "osName": vm.image.os_name,
            "behaviour": vm.behaviour,
            "power": vm.power.value,
            "agent": vm.has_agent,
            "tags": dict(vm.tags),
            "durationSeconds": vm.duration_seconds,
            "expectedOutcome": vm.expected_outcome,
            "skipReason": vm.skip_reason,
            "operationStatus": vm.assessment.operation_status,
            "status": vm.assessment.status,
            "criticalAndSecurityPatchCount": grave,
            "otherPatchCount": other,
            "rebootPending": vm.verbatim.result["rebootPending"]
            if vm.verbatim
            else vm.assessment.reboot_pending,
            "activityIds": self.cloud.issued(vm),
        }


async def _object(request: web.Request) -> Json:
    document = await request.json()
    if not isinstance(document, dict):
        raise ScenarioError("body", "must be an object")
    return document


def _number(document: Json, name: str, default: float) -> float:
    value = document.get(name, default)
    if not isinstance(value, int | float) or value < 0:
        raise ScenarioError(name, "must be a number of seconds")
    return float(value)


@web.middleware
async def _explain(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Answers what can't be understood with 400 and the part that is wrong."""
    try:
        return await handler(request)
    except JSONDecodeError as error:
        return web.json_response({"error": f"not JSON: {error.msg}"}, status=400)
    except ArmError as error:
        return web.json_response({"error": str(error)}, status=error.status)
    except (FaultError, ScenarioError) as error:
        return web.json_response({"field": error.field, "error": error.problem}, status=400)
