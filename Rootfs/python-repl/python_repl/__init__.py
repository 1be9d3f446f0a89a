"""The python-repl image's server: one Python namespace, reached over HTTP and WebSocket."""
