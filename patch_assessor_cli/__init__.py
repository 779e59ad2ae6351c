"""The commands: the demo, a local cloud to try things on, and clients of the app's entities.

They talk to Service Bus through its SDK alone, so all but `run` and `up` work on any namespace.
"""
