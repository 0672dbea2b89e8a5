"""Whether a certificate ripens soon enough, and whether the watch on the promise speaks in time and never in vain."""
