"""What trains networks, and what scores rows with them."""
