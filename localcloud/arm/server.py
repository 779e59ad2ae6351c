"""ARM over HTTP: authenticates, authorises, answers with the headers that were recorded.

With a time scale of 1, answers are as recorded: no ``Retry-After``, so a client polls at its own
30 seconds. With a larger scale, the 202 and the polls carry ``Retry-After: max(1, 30/scale)``:
the client must look as often *per assessment* as it would in production, and this header is the
only way to tell an unchanged client so. Left out: ARM's redirection between regions, batching,
``$filter``, deleted resources' 204, and answers other than JSON.

With a signer, operations' URLs are signed, and others are refused (`localcloud.arm.signatures`);
without one they are as they were recorded in 2021. Which of the two Azure still takes is not known.
"""

import asyncio
import math
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web
from multidict import CIMultiDict

from localcloud.arm import bodies, errors
from localcloud.arm.access import AccessControl
from localcloud.arm.buckets import Buckets, Overdraw, Subject
from localcloud.arm.calls import Call, CallLog
from localcloud.arm.clock import Clock, compact, timestamp, unix_seconds
from localcloud.arm.cloud import Cloud
from localcloud.arm.faults import Answer, FaultPlan, Reset, Slow, Verbatim
from localcloud.arm.inventory import METADATA_PATH, cloud_metadata, inventory
from localcloud.arm.model import Vm
from localcloud.arm.operations import Operation, State
from localcloud.arm.replies import Exchange, Remaining, Reply, finish
from localcloud.arm.routing import Kind, Route, is_api_version, resolve
from localcloud.arm.signatures import UrlSigner

_POLL_SECONDS = 30
PAGE_SIZE = 50
"""How many VMs a page of a list has, where nothing else is said."""


@dataclass(frozen=True)
class ArmServer:
    """Serves a :class:`Cloud` as Azure Resource Manager does.

    Attributes:
        cloud: the state.
        access: tokens and roles.
        buckets: Compute's request limits.
        front_door: ARM's own request limits; None where they are not enforced.
        signer: signs operations' URLs; None leaves them unsigned.
        faults: what to break.
        calls: where calls are noted.
        clock: the time.
        time_scale: how many times faster than real assessments run.
        page_size: how many VMs a page of a list has.
    """

    cloud: Cloud
    access: AccessControl
    buckets: Buckets
    faults: FaultPlan
    calls: CallLog
    clock: Clock
    time_scale: float = 1
    page_size: int = PAGE_SIZE
    front_door: Buckets | None = None
    signer: UrlSigner | None = None

    def application(self) -> web.Application:
        """Returns the web application."""
        application = web.Application()
        application.router.add_get(METADATA_PATH, _metadata)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.Response:
        exchange = Exchange()
        reset = None
        try:
            reply, reset = await self._answer(request, exchange)
        except errors.ArmError as error:
            reply = Reply(error.status, bodies.encode(error.body()), CIMultiDict(error.headers))
        self._note(request, exchange, 0 if reset else reply.status)
        if reset:
            _break(request)
        return finish(
            request,
            reply,
            remaining=self._remaining(exchange),
            calls=self.calls,
            routing_id=f"{exchange.subject.region.upper()}:{compact(self.clock())}",
        )

    def _remaining(self, exchange: Exchange) -> Remaining:
        kind, subject, door = exchange.kind, exchange.subject, self.front_door
        compute = self.buckets.remaining(kind, subject)
        return Remaining(compute, None if door is None else door.left(kind, subject))

    async def _answer(self, request: web.Request, exchange: Exchange) -> tuple[Reply, Reset | None]:
        caller = self.access.authenticate(
            request.headers.get("Authorization"), now=unix_seconds(self.clock())
        )
        api_version = request.query.get("api-version", "")
        if not api_version:
            raise errors.missing_api_version()
        if not is_api_version(api_version):
            raise errors.invalid_api_version(api_version)
        told = inventory(request.path, self.cloud.vms.values()) if request.method == "GET" else None
        if told is not None:
            return Reply(HTTPStatus.OK, bodies.encode(told)), None
        monitor = request.query.get("monitor", "").lower() == "true"
        route = resolve(request.method, request.path, monitor=monitor, api_version=api_version)
        exchange.kind, exchange.vm_key, exchange.vm_id = route.kind, route.vm_key, route.vm_key
        self.cloud.require_subscription(route.subscription_id)
        self.access.authorize(caller, route.action, route.scope)
        exchange.subject = Subject(
            route.subscription_id, route.location, route.vm_key, caller.principal_id
        )
        self._enter(exchange)
        self._identify(route, exchange, request)
        fault = self.faults.decide(route.kind, exchange.vm_key, route.subscription_id)
        if isinstance(fault, Answer):
            raise self._faulty(fault, exchange)
        if isinstance(fault, Verbatim):
            return Reply(fault.status, fault.body, CIMultiDict(fault.headers)), None
        if isinstance(fault, Slow):
            await asyncio.sleep(fault.seconds)
        if fault == Reset():
            return Reply(0), Reset()
        overdraw = self.buckets.take(route.kind, exchange.subject)
        if overdraw is not None:
            raise self._throttled(overdraw)
        reply = self._serve(route, exchange, request)
        return reply, fault if isinstance(fault, Reset) else None

    def _enter(self, exchange: Exchange) -> None:
        """Lets a request pass ARM's own limits, before Compute sees it; raises ArmError."""
        if self.front_door is None:
            return
        overdraw = self.front_door.take(exchange.kind, exchange.subject)
        if overdraw is not None:
            raise errors.subscription_throttled(
                overdraw.policy.name,
                exchange.subject.subscription_id,
                exchange.subject.principal_id,
                max(1, math.ceil(overdraw.wait_seconds)),
            )

    def _identify(self, route: Route, exchange: Exchange, request: web.Request) -> None:
        """Finds the VM behind a request, where there is one, for faults, limits and counts."""
        vm = self.cloud.vms.get(route.vm_key)
        principal_id = exchange.subject.principal_id
        if route.operation_name:
            vm = self._operation(route).vm
            if self.signer is not None:
                self.signer.check(route.operation_name, principal_id, request.query)
        region = vm.region.name if vm else route.location
        if vm:
            exchange.vm_key, exchange.vm_id = vm.key, vm.id
        exchange.subject = Subject(route.subscription_id, region, exchange.vm_key, principal_id)

    def _serve(self, route: Route, exchange: Exchange, request: web.Request) -> Reply:
        match route.kind:
            case Kind.ASSESS:
                return self._assess(self._vm(route), exchange, request)
            case Kind.OPERATION:
                return self._poll(self._operation(route))
            case Kind.LOCATION:
                return self._result(self._operation(route), request)
            case Kind.GET_VM | Kind.INSTANCE_VIEW:
                return self._read(self._vm(route), route.kind, request)
            case Kind.LIST_GROUP | Kind.LIST_SUBSCRIPTION:
                return self._list(route, request)
            case Kind.OTHER:
                raise errors.method_not_allowed(request.method)

    def _assess(self, vm: Vm, exchange: Exchange, request: web.Request) -> Reply:
        operation = self.cloud.begin_assessment(vm)
        exchange.activity_id = operation.name
        url = self._operation_url(operation, request)
        reply = Reply(HTTPStatus.ACCEPTED, request_id=operation.name)
        version = f"api-version={request.query['api-version']}{self._signature(exchange)}"
        reply.headers["Location"] = f"{url}?monitor=true&{version}"
        reply.headers["Azure-AsyncOperation"] = f"{url}?{version}"
        self._pace(reply)
        return reply

    def _poll(self, operation: Operation) -> Reply:
        now = self.clock()
        reply = Reply(HTTPStatus.OK, bodies.operation_bytes(operation, now))
        if operation.state(now) is State.IN_PROGRESS:
            self._pace(reply)
        return reply

    def _result(self, operation: Operation, request: web.Request) -> Reply:
        """What Location answers; 409 with the error of an operation that failed is assumed."""
        state = operation.state(self.clock())
        if state is State.IN_PROGRESS:
            reply = Reply(HTTPStatus.ACCEPTED)
            reply.headers["Location"] = str(request.url)
            self._pace(reply)
            return reply
        if state is not State.SUCCEEDED:
            body = {"error": operation.error().as_json()}
            return Reply(HTTPStatus.CONFLICT, bodies.encode(body))
        return Reply(HTTPStatus.OK, bodies.result_bytes(operation))

    def _read(self, vm: Vm, kind: Kind, request: web.Request) -> Reply:
        last, now = self.cloud.last_summary(vm), self.clock()
        if kind is Kind.INSTANCE_VIEW:
            body = bodies.instance_view_body(vm, last, now)
        else:
            expand = request.query.get("$expand", "").lower() == "instanceview"
            body = bodies.vm_body(vm, last, now, instance_view=expand)
        return Reply(HTTPStatus.OK, bodies.encode(body))

    def _list(self, route: Route, request: web.Request) -> Reply:
        """Pages by position; the real token is opaque and survives changes in between.

        With statusOnly a VM has no tags (https://github.com/Azure/azure-sdk-for-go/issues/18565).
        """
        query = request.query
        status_only = query.get("statusOnly", "").lower() == "true"
        view = status_only or query.get("$expand", "").lower() == "instanceview"
        token = query.get("$skiptoken", "0")
        start = int(token) if token.isdecimal() else 0
        vms = self.cloud.in_scope(route.subscription_id, route.resource_group)
        page, now = vms[start : start + self.page_size], self.clock()
        last_of = self.cloud.last_summary
        value = [bodies.vm_body(vm, last_of(vm), now, instance_view=view) for vm in page]
        if status_only:
            value = [{name: part for name, part in vm.items() if name != "tags"} for vm in value]
        body: dict[str, object] = {"value": value}
        if start + self.page_size < len(vms):
            following = request.url.update_query({"$skiptoken": str(start + self.page_size)})
            body["nextLink"] = str(following)
        return Reply(HTTPStatus.OK, bodies.encode(body))

    def _vm(self, route: Route) -> Vm:
        return self.cloud.vm(route.subscription_id, route.resource_group, route.vm_name)

    def _operation(self, route: Route) -> Operation:
        return self.cloud.operation(route.subscription_id, route.location, route.operation_name)

    def _operation_url(self, operation: Operation, request: web.Request) -> str:
        vm = operation.vm
        return (
            f"{request.url.origin()}/subscriptions/{vm.subscription_id}/providers"
            f"/Microsoft.Compute/locations/{vm.region.name}/operations/{operation.name}"
        )

    def _signature(self, exchange: Exchange) -> str:
        if self.signer is None:
            return ""
        caller = exchange.subject.principal_id
        signed = self.signer.sign(exchange.activity_id, caller, self.clock())
        return "".join(f"&{name}={value}" for name, value in signed.items())

    def _pace(self, reply: Reply) -> None:
        if self.time_scale > 1:
            reply.headers["Retry-After"] = str(max(1, round(_POLL_SECONDS / self.time_scale)))

    def _throttled(self, overdraw: Overdraw) -> errors.ArmError:
        policy, now = overdraw.policy, self.clock()
        throttle = errors.Throttle(
            policy.name,
            timestamp(overdraw.since, 0),
            timestamp(now, 0),
            policy.capacity,
            policy.capacity + 1,
        )
        return errors.too_many_requests(throttle, max(1, math.ceil(overdraw.wait_seconds)))

    def _faulty(self, fault: Answer, exchange: Exchange) -> errors.ArmError:
        if fault.status == HTTPStatus.TOO_MANY_REQUESTS and fault.code is None:
            policies = self.buckets.policies(exchange.kind)
            policy = policies[0] if policies else "GetVM3Min"
            now = timestamp(self.clock(), 0)
            throttle = errors.Throttle(policy, now, now, 1, 2)
            error = errors.too_many_requests(throttle, fault.retry_after)
        else:
            error = errors.usual(fault.status)
            if fault.retry_after is not None:
                error.headers = {**error.headers, "Retry-After": str(fault.retry_after)}
        error.code = fault.code or error.code
        error.message = fault.message or error.message
        error.details = fault.details or error.details
        return error

    def _note(self, request: web.Request, exchange: Exchange, status: int) -> None:
        self.calls.add(
            Call(
                exchange.kind,
                exchange.vm_id,
                self.clock(),
                status,
                self.buckets.policies(exchange.kind),
                exchange.activity_id,
                request.headers.get("x-ms-client-request-id", ""),
            )
        )


def _break(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _metadata(request: web.Request) -> web.Response:
    """Answers without a token, as ARM does: whoever asks has yet to learn where to get one."""
    body = bodies.encode(cloud_metadata(str(request.url.origin())))
    return web.Response(body=body, content_type="application/json")
