"""What may cross: the wire definitions, their generated stubs and the only parser."""
