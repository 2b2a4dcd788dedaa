"""What the end-to-end tests stand on: real PostgreSQL nodes, the real `mosaic`, and a raw protocol client."""
