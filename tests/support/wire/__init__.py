"""A server that misbehaves on the wire as servers and gateways do, and the programs that are run against it."""
