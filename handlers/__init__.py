"""The function app's triggers: each decodes one message and hands it to the domain."""
