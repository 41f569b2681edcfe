"""How people and programs show who they are: passwords, sessions, keys, the cookie and its CSRF token."""
