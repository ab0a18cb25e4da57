"""The gRPC servicers: parse, call, serialise."""
