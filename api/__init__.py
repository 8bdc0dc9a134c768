"""Routes beside the screens, in the same server: session cookie, health, exports."""
