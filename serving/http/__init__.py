"""HTTP: who asks is known by the gate, and an `Asker` answers. docs/http.md describes the routes."""
