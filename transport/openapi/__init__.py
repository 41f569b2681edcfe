"""The API's description, OpenAPI 3.1: made from the endpoint table that serves it.

Files in reading order: `doc` (what a route says about itself), `parameters` (names in paths and headers), `shapes` (bodies that
several routes share), `document` (from the table to the document), `calls` (where it is served).
"""
