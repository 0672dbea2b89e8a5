"""A thousand agents at one broker, and the page that shows them."""
