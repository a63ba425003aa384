"""The GraphQL door: over HTTP, over WebSocket, and as a stream of events."""
