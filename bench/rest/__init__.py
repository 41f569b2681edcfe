"""The REST load of the bench: posts and cached reads over keep-alive connections, all of it accounted for."""
