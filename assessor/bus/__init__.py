"""Service Bus as the domain needs it: port, adapter, tracing, and the twin in memory."""
