"""How precisely and how quickly parts are found, and what that does for detection."""
