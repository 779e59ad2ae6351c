"""A local Azure Service Bus: AMQP 1.0 on a port, for the unchanged `azure-servicebus` SDK.

What a client sees of the service's Standard tier: queues, topics with subscriptions and correlation
filters, peek-lock with expiry and renewal, dead letters, deferral, scheduling, time to live,
duplicate detection, the size limit, and `$management`. Started from the official emulator's config
format, and reached like the emulator, with `UseDevelopmentEmulator=true` in the connection string.

Left out: sessions, transactions, auto-forwarding, the administration API, JMS
selectors, AMQP over WebSockets, quotas and throttling, and checking the tokens that `$cbs` gets.

The bus is `localcloud.servicebus.server.ServiceBus`. This package imports nothing by itself: the
host, which reads AMQP values with `wire`, need not load a bus.
"""
